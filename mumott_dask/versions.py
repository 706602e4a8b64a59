"""Versions of what a result is made with (floor 0)."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ._version import __version__

_PACKAGES = ("dask", "distributed", "h5py", "numba", "numpy", "scikit-image", "scipy", "xarray", "zarr")


@cache
def _known() -> dict[str, str]:
    found = {"mumott_dask": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def versions() -> dict[str, str]:
    """Versions of this package, of Python, and of the packages that numbers come from."""
    return dict(_known())
