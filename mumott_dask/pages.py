"""What the C library keeps of memory that arrays no longer need (floor 0)."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers for them


def keep(smaller_than: int, up_to: int) -> None:
    """Have glibc keep the memory of arrays, so that the next one need not ask for it; others do as they do.

    Parameters
    ----------
    smaller_than : int, bytes
        Larger arrays are handed back at once when they are let go.
    up_to : int, bytes
        What each thread may keep, roughly.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(_MMAP_THRESHOLD, smaller_than)
            libc.mallopt(_TRIM_THRESHOLD, up_to)
