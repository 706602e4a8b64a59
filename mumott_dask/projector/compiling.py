"""How kernels are compiled, and where numba keeps them: once a machine, whatever the scan."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path
from typing import Any

import numba

OPTIONS: dict[str, Any] = {
    "cache": True,
    "fastmath": {"contract", "reassoc", "nsz"},
    "boundscheck": False,
    "error_model": "numpy",
}
"""Arguments of `numba.njit` for every kernel."""


def place_cache() -> None:
    """Keep compiled kernels in the folder for temporary files where numba's own places can't be written.

    Those are the package's folder and the user's cache: both are read-only in a shared install that runs with
    a home that is. Without a place, numba refuses to compile.
    """
    if numba.config.CACHE_DIR or _writable(Path(__file__).parent) or _writable(Path.home() / ".cache"):
        return
    numba.config.CACHE_DIR = str(Path(tempfile.gettempdir()) / f"mumott_dask-{getpass.getuser()}")


def _writable(folder: Path) -> bool:
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    return os.access(existing, os.W_OK | os.X_OK)


place_cache()
