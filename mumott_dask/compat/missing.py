"""What of mumott is not here: where to find it, or what to use instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import xarray as xr

from mumott_dask.devices import Backend, on_gpu
from mumott_dask.errors import ScanError, ScanWarning


def names_of_mumott(module: str, *known: str) -> Callable[[str], Any]:
    """``__getattr__`` of a module of this room: a name that it has not is mumott's, where that is installed.

    Parameters
    ----------
    module : str
        Such as ``"mumott_dask.compat.pipelines"``.
    *known : str
        Names that mumott's module has and this one has not. To import one of them says why it can't be had;
        any other name is missing as it is from any module, so that ``hasattr`` works.
    """
    theirs = module.replace(__package__, "mumott", 1)

    def of_mumott(name: str) -> Any:
        if name.startswith("__"):  # asked for by the import system and by tools, never by a script
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            return import_module(f"{module}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{module}.{name}":
                raise
        try:
            found = import_module(theirs)
        except ImportError as error:
            if name not in known:
                raise AttributeError(f"module {module!r} has no attribute {name!r}") from error
            # An AttributeError would be replaced by one that says less.
            raise ImportError(
                f"{module} has no {name!r}, and mumott, which has it, can't be imported ({error})"
            ) from error
        return getattr(found, name)

    return of_mumott


class NotHere:
    """Stands for one of mumott's objects in a result; says what to use instead when it is asked for more."""

    def __init__(self, what: str, instead: str) -> None:
        self._line = f"there is no {what} here: {instead}"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self._line)

    def __repr__(self) -> str:
        return f"<{self._line}>"


def check_keywords(function: str, given: Mapping[str, Any], known: Iterable[str], instead: str) -> None:
    """Refuse keywords that cannot mean anything here, in one line that says what to use instead."""
    for name in given:
        if name not in known:
            raise ScanError(f"{function} takes no {name!r} here: {instead}")


def backend(use_gpu: bool, scan: xr.Dataset) -> Backend:
    """Where to align a scan: on a GPU if that is wanted and there is one, else the CPU, with a warning."""
    if use_gpu and on_gpu(scan, "auto"):
        return "gpu"
    on_cpu(use_gpu)
    return "cpu"


def on_cpu(use_gpu: bool) -> None:
    """Warn, once, that what was asked for on a GPU runs on the CPU."""
    if use_gpu:
        _warn_of_the_cpu()


@cache
def _warn_of_the_cpu() -> None:
    warnings.warn("use_gpu=True: no GPU is used, the work is done on the CPU", ScanWarning, stacklevel=4)
