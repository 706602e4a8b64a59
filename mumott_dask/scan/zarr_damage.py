"""Telling a damaged Zarr store from a whole one.

Zarr takes a chunk that is not there for one of zeros. Our stores have every chunk written, so a missing or
empty file is damage; what is spoilt within a file shows by the checksums when it is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr

from mumott_dask.errors import ScanError

_FAULTS = (OSError, ValueError, RuntimeError, KeyError, TypeError)


def check_whole(path: Path, group: zarr.Group) -> None:
    """Make sure that no chunk file is missing or empty.

    Raises
    ------
    ScanError
        Where one is.
    """
    for name, array in group.arrays():
        expected = _number_of_files(array)
        found = sum(file.stat().st_size > 0 for file in _chunk_files(path / name / "c"))
        if found < expected:
            raise ScanError(
                f"{path}: {name!r} has {found} chunk files, expected {expected}: the store is damaged, "
                "or was copied in part"
            )


def _number_of_files(array: zarr.Array[Any]) -> int:
    file_shape = array.shards or array.chunks
    return math.prod(-(-size // length) for size, length in zip(array.shape, file_shape, strict=True))


def _chunk_files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for folder, _, files in os.walk(place):
        yield from (Path(folder, file) for file in files)


@contextmanager
def damage(path: Path, part: str) -> Iterator[None]:
    """Say in one line what of a store cannot be read, for whatever goes wrong in the block."""
    try:
        yield
    except _FAULTS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ScanError(f"{path}: {part} cannot be read, the store is damaged ({reason})") from error
