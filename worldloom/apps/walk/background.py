"""Threads that are waited for when Python ends: one that comes back from native code later aborts the process."""

import atexit
import functools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

_PATIENCE = 10.0  # seconds in all; what then still works, such as a mesh, is left to its fate
_living: weakref.WeakKeyDictionary[threading.Thread, Callable[[], None] | None] = weakref.WeakKeyDictionary()


def start(work: Callable[..., None], *arguments: Any, stop: Callable[[], None] | None = None) -> None:
    """Do `work` on a thread of its own; `stop` asks it to end, where it would not by itself."""
    _wait_when_python_ends()
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    _living[thread] = stop
    thread.start()


@functools.cache
def _wait_when_python_ends() -> None:
    atexit.register(_end)


def _end() -> None:
    until, living = time.monotonic() + _PATIENCE, list(_living.items())
    for _, stop in living:
        if stop is not None:
            stop()
    for thread, _ in living:
        thread.join(max(0.0, until - time.monotonic()))
