"""Whether a file is the one that was worked on: by size and time, by its hash where those differ."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """Size and time of a file, or of all files of a Zarr store together."""

    size: int  #: bytes
    time: int  #: of the last change, nanoseconds


def stamp(path: Path) -> Stamp:
    """Size and time of what is at a path.

    Raises
    ------
    OSError
        Where nothing is there.
    """
    found = [file.stat() for file in _files(path)]
    return Stamp(sum(each.st_size for each in found), max((each.st_mtime_ns for each in found), default=0))


def sha256(path: Path) -> str:
    """Hash of a file, or of a Zarr store: of the names and hashes of its files."""
    if not path.is_dir():
        return _of_file(path)
    whole = hashlib.sha256()
    for file in _files(path):
        whole.update(f"{file.relative_to(path).as_posix()}\0{_of_file(file)}\n".encode())
    return whole.hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            yield Path(folder, file)
