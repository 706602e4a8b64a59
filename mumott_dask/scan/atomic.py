"""Outputs that are whole or not there: written under another name, then renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mumott_dask.errors import ScanError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_FULL_TEXTS = (*map(os.strerror, _FULL), " requested and ")
_LEFT = re.compile(r"\.(.+)\.[0-9a-f]{12}\.(partial|replaced)(\.[^.]*|)", re.DOTALL)


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Make sure that an output can be put at `path`, before the work that makes it.

    Raises
    ------
    ScanError
        Where something is there already and `overwrite` is false, where it is a folder that is no Zarr
        store, or where its own folder is missing or cannot be written to.
    """
    final = Path(path).resolve()
    if not final.parent.is_dir():
        raise ScanError(f"{path}: there is no folder {final.parent} to write it to")
    if not os.access(final.parent, os.W_OK):
        raise ScanError(f"{path}: the folder {final.parent} cannot be written to")
    if not final.exists():
        return
    if not overwrite:
        raise ScanError(f"{path}: exists already, expected a new name, or overwrite=True to replace it")
    if final.is_dir() and any(final.iterdir()) and not (final / "zarr.json").is_file():
        raise ScanError(f"{path}: is a folder that is no Zarr store, it will not be replaced")


@contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Name beside `path` to write a file or a folder under, which becomes `path` once the block is through.

    Until then what was at `path` stays as it was. If the block fails or is interrupted, what it wrote is
    removed. What was written has reached the disk before it gets its final name.

    Raises
    ------
    ScanError
        As in :func:`check_output`, and where the disk is full.
    """
    check_output(path, overwrite)
    final = Path(path).resolve()
    partial = _sibling(final, "partial")
    try:
        yield partial
        _sync(partial)
        check_output(path, overwrite)
        _rename(partial, final)
    except BaseException as error:
        _remove(partial)
        if _is_disk_full(error):
            raise ScanError(
                f"{path}: the disk is full, or a quota used up; nothing was written, "
                "free some space or choose another folder"
            ) from error
        raise


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is through, one that takes a moment.

    Zarr's threads go on writing after an interrupt, and make anew what has been removed.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])


@contextmanager
def working_on(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep others from an output as long as the block runs; see `locked`.

    Where nothing can be written to its folder there is nothing to keep: `check_output` says so.
    """
    final = Path(path).resolve()
    if not os.access(final.parent, os.W_OK):
        yield
        return
    with locked(final.with_name(f".{final.name}.lock"), f"{path}: is being worked on"):
        yield


@contextmanager
def locked(place: Path, held: str) -> Iterator[None]:
    """Hold a lock, a file at `place`, as long as the block runs.

    The system lets go of it where the process is killed. Without one goes who can't have any: where the file
    system has none, or the disk is full, which is told where something is written.

    Raises
    ------
    ScanError
        `held`, and by whom, where another process holds it.
    """
    descriptor = None
    try:
        descriptor = _lock(place, held)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
    except OSError as error:
        if error.errno not in _NO_LOCKS | _FULL:
            raise
    try:
        yield
    finally:
        if descriptor is not None:
            place.unlink(missing_ok=True)
            os.close(descriptor)


def _lock(place: Path, held: str) -> int:
    """Descriptor of the file at `place`, locked."""
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), place.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            holder = os.read(descriptor, 1000).decode()
            os.close(descriptor)
            raise ScanError(f"{held} ({holder})") from error
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever held it has removed it meanwhile


def recover(path: str | os.PathLike[str]) -> None:
    """Put things right after a process that was killed while it replaced `path`, and is not writing any more.

    What had been moved aside is put back where nothing is under the final name; the rest is removed.
    """
    final = Path(path).resolve()
    _recover(final.parent, final.name)


def recover_folder(folder: str | os.PathLike[str]) -> None:
    """Put things right for all that was being replaced in a folder; see `recover`."""
    _recover(Path(folder).resolve())


def _recover(folder: Path, name: str | None = None) -> None:
    if not folder.is_dir():
        return
    for sibling in list(folder.iterdir()):
        match = _LEFT.fullmatch(sibling.name)
        if match is None or name not in (None, f"{match[1]}{match[3]}"):
            continue
        final = folder / f"{match[1]}{match[3]}"
        if match[2] == "replaced" and not final.exists():
            sibling.rename(final)
        else:
            _remove(sibling)


def _sibling(final: Path, purpose: str) -> Path:
    return final.with_name(f".{final.stem}.{uuid.uuid4().hex[:12]}.{purpose}{final.suffix}")


def _rename(partial: Path, final: Path) -> None:
    if final.is_dir():
        # No folder can be renamed over another, so for a moment the name is free.
        aside = _sibling(final, "replaced")
        try:
            final.rename(aside)
            partial.rename(final)
        finally:
            if final.exists():
                _remove(aside)
            elif aside.exists():
                aside.rename(final)
    elif partial.is_dir():
        final.unlink(missing_ok=True)
        partial.rename(final)
    else:
        partial.replace(final)
    _sync_one(final.parent)


def _sync(path: Path) -> None:
    _sync_one(path)
    if path.is_dir():
        for folder, _, files in os.walk(path):
            for file in files:
                _sync_one(Path(folder, file))
            _sync_one(Path(folder))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether an error comes of a full disk; HDF5 and ``ndarray.tofile`` say so in the text alone."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(text in str(error) for text in _FULL_TEXTS):
            return True
        error = error.__cause__ or error.__context__
    return False
