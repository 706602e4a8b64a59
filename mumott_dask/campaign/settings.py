"""Settings of `align` and `reconstruct` as a manifest holds them, checked against what those take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import xarray as xr

from mumott_dask.alignment import align
from mumott_dask.alignment.settings import check_settings
from mumott_dask.errors import ScanError
from mumott_dask.lined_yaml import Place
from mumott_dask.reconstruction import reconstruct
from mumott_dask.scan import make_scan

from .samples import Settings

Function = Literal["align", "reconstruct"]

FUNCTIONS: Mapping[Function, Callable[..., Any]] = {"align": align, "reconstruct": reconstruct}
_OURS = ("scan", "stages", "checkpoint", "overwrite", "watch")  # what a campaign sees to, or a file can't say
_OF_THE_SCAN = ("exclude", "fixed", "window", "gauge", "variable", "segment", "transmission_corrected")
_OF_BOTH = ("variable", "segment", "transmission_corrected", "backend", "volume_chunks")


def checked_settings(place: Place, function: Function, usual: Settings) -> dict[str, Any]:
    """Settings of a function, or one line that says which makes no sense, and where.

    What depends on the scan (labels, windows, variables) is checked where the scan is.

    Parameters
    ----------
    place : Place
        Names and values.
    function : "align" or "reconstruct"
    usual : Mapping
        Settings that hold where these say nothing.
    """
    places = place.fields(function, setting_names(function))
    found = {name: checked_setting(each, function, name) for name, each in places.items()}
    try:
        check_together(function, {**usual, **found})
    except ScanError as error:
        named = places.get(str(error).split(" ", 1)[0], place)
        raise named.wrong(str(error)) from error
    return found


def setting_names(function: Function) -> list[str]:
    """Names of the settings of a function that a manifest may hold."""
    return [name for name in inspect.signature(FUNCTIONS[function]).parameters if name not in _OURS]


def checked_setting(place: Place, function: Function, name: str) -> Any:
    """One setting, if it is of a type that the function takes."""
    hint = _hints(function)[name]
    if not _fits(place.value, hint):
        raise place.wrong(f"{name} is {place.value!r}, expected {_described(hint)}")
    return place.value


def check_together(function: Function, settings: Settings) -> None:
    """Make sure that settings make sense beside each other, as far as that can be told without a scan.

    Raises
    ------
    ScanError
        With the setting's name first.
    """
    iterations = settings.get("iterations")
    if iterations is not None and iterations < 1:
        raise ScanError(f"iterations is {iterations}, expected at least 1")
    if function == "align":
        parameters = inspect.signature(align).parameters
        usual = {name: each.default for name, each in parameters.items() if name not in _OURS}
        asked = {**usual, **{name: each for name, each in settings.items() if name not in _OF_THE_SCAN}}
        takes = inspect.signature(check_settings).parameters
        check_settings(_any_scan(), **{name: value for name, value in asked.items() if name in takes})


def with_shared(align_settings: Settings, reconstruct_settings: Settings) -> dict[str, Any]:
    """Settings of a reconstruction, which is of the signal that was aligned unless they say otherwise."""
    shared = {name: value for name, value in align_settings.items() if name in _OF_BOTH}
    return {**shared, **reconstruct_settings}


def checked_binning(place: Place) -> int:
    """Pixels that are joined along a side."""
    if type(place.value) is not int or place.value < 1:
        raise place.wrong(f"bin is {place.value!r}, expected a whole number of pixels, at least 1")
    return int(place.value)


@cache
def _hints(function: Function) -> dict[str, Any]:
    return get_type_hints(FUNCTIONS[function])


@cache
def _any_scan() -> xr.Dataset:
    return make_scan(np.ones((2, 64, 64)), np.array([0.0, 1.0]))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a YAML file is of a type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(parts) and all(map(_fits, value, parts))
    if _is_list(origin):
        return isinstance(value, list) and all(_fits(each, parts[0]) for each in value)
    if isinstance(value, bool) or hint not in (bool, int, float, str, NoneType):
        return hint is bool and isinstance(value, bool)
    return isinstance(value, int | float if hint is float else hint)


def _described(hint: Any) -> str:
    """What a YAML file holds for a type, in words; nothing for what it can't hold."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(filter(None, map(_described, parts))))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is tuple:
        return f"[{', '.join(map(_described, parts))}]"
    if _is_list(origin):
        return f"a list, each {_described(parts[0])}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}
    return words.get(hint, "")


def _is_list(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Iterable)
