"""What a sample needs of memory, before, and what it took, after."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xarray as xr

from mumott_dask.placement import told_by_workers

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FIXED = 340e6  # bytes: Python, its packages and the compiled kernels
_IMAGES, _VOLUMES = 5, 6  # times the float32 of all images, and of a volume, that are held at most


def memory_needed(scan: xr.Dataset) -> float:
    """Bytes that a process holds at most while it aligns and reconstructs a scan in memory."""
    images = scan.sizes["projection"] * scan.sizes["j"] * scan.sizes["k"]
    segments = scan.sizes["segment"] if "data" in scan else 0
    x, y, z = scan.attrs["volume_shape"]
    return float(_FIXED + 4 * ((_IMAGES + segments) * images + _VOLUMES * x * y * z))


@contextmanager
def held_at_most(on_workers: bool) -> Iterator[Callable[[], int]]:
    """Tell what this process, or that worker which holds the most, has held at most since the block began.

    In bytes, other threads of the process included; since the process began, where the system can't forget.
    """
    if not on_workers:
        _forget()
        yield _largest
        return
    told_by_workers(_forget)
    yield lambda: max(told_by_workers(_largest).values(), default=0)


def _forget() -> None:
    with suppress(OSError):
        _CLEAR.write_text("5")  # Linux: the largest resident size so far is forgotten


def _largest() -> int:
    with suppress(OSError, StopIteration):
        lines = _STATUS.read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
