"""A cluster's folder on the disk that its nodes share: credentials, where its scheduler is, logs.

Who can read it can use the cluster, so it is its owner's alone.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed.security import Security

from mumott_dask.errors import ScanError

SCHEDULER = "scheduler.json"
_CREDENTIALS = "credentials.pem"
_PREFIX = "mumott-dask-"
GIVEN = "MUMOTT_DASK_FOLDER"  # names the folder that was made for a submitted driver


def shared_folder(shared: str) -> Path:
    """Where folders of clusters are, made where it is missing."""
    path = Path(os.path.expandvars(shared)).expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ScanError(f"{path}: {error.strerror}, expected a folder that all nodes can use") from error
    return path


def new_folder(shared: str) -> Path:
    """A folder for one more cluster, whose name is that of its jobs as well."""
    given = os.environ.get(GIVEN)
    if given:
        return Path(given)
    folder = shared_folder(shared) / f"{_PREFIX}{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    return folder


def new_credentials(folder: Path) -> Security:
    """Credentials for one cluster, as long as it runs: one key for all of its processes."""
    made = Security.temporary()
    path = folder / _CREDENTIALS
    write_privately(path, f"{made.tls_worker_key}{made.tls_worker_cert}")
    return _security(path)


def _security(path: Path) -> Security:
    """The key and the certificate, which vouches for itself, are in one file."""
    name = str(path)
    roles = {
        f"tls_{role}_{part}": name for role in ("client", "scheduler", "worker") for part in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=name, **roles)


def write_privately(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    partial = path.with_suffix(".partial")
    with suppress(FileNotFoundError):
        partial.unlink()
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def write_scheduler(folder: Path, told: dict[str, Any]) -> None:
    """Write how a scheduler is reached: its `address`, and what else there is to tell."""
    write_privately(folder / SCHEDULER, json.dumps(told, indent=2))


def read_scheduler(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Security | None]:
    """What a cluster's folder, or the file in it, tells of its scheduler, and the credentials for it."""
    file = Path(path) / SCHEDULER if Path(path).is_dir() else Path(path)
    try:
        told = dict(json.loads(file.read_text()))
        address = str(told["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScanError(f"{file}: tells of no scheduler, expected one that runs") from error
    credentials = file.with_name(_CREDENTIALS)
    return told, _security(credentials) if address.startswith("tls:") else None


def told_in(folder: Path) -> tuple[Path, Path]:
    """The files that a cluster is reached by, as long as it runs."""
    return folder / SCHEDULER, folder / _CREDENTIALS


def forget(folder: Path) -> None:
    """Remove what a cluster that has ended is reached by, and its folder where that holds no logs."""
    for file in told_in(folder):
        with suppress(FileNotFoundError):
            file.unlink()
    with suppress(OSError):
        folder.rmdir()
