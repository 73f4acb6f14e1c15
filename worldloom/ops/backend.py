"""What one engine of a kernel says of itself."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Backend:
    """One engine and whether it can run here."""

    name: str
    available: bool
    detail: str  # version and instruction set, or why it is not available


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether products of bfloat16 have instructions of their own here; elsewhere they are slower than float32."""
    if device.type != "cpu":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    told = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))
