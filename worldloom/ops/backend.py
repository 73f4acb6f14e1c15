"""What one engine of a kernel says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One engine and whether it can run here."""

    name: str
    available: bool
    detail: str  # version and instruction set, or why it is not available
