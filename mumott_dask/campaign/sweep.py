"""The same samples with several settings each: what a `sweep` in a manifest asks for."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, cast

from mumott_dask.errors import ScanError
from mumott_dask.lined_yaml import Place

from .samples import Sample, Settings
from .settings import FUNCTIONS, Function, check_together, checked_binning, checked_setting, setting_names

MARK = "@"
"""Stands between the name of a sample and the number of the settings it is worked on with."""

_MOST = 1000  # combinations: beyond, somebody has not counted them


def checked_variants(place: Place, usual: Sample) -> list[dict[str, Any]]:
    """All combinations of what a sweep lists, by names such as ``align.tolerance`` and ``bin``."""
    known = [f"{function}.{name}" for function in FUNCTIONS for name in setting_names(function)]
    fields = place.fields("sweep", [*known, "bin"])
    if not fields:
        raise place.wrong(
            "sweep is empty, expected settings such as align.tolerance, each with a list of values"
        )
    values = [[_checked(each, name) for each in part.items(name)] for name, part in fields.items()]
    variants = [dict(zip(fields, chosen, strict=True)) for chosen in product(*values)]
    if len(variants) > _MOST:
        raise place.wrong(f"sweep has {len(variants)} combinations, expected at most {_MOST}")
    for variant in variants:
        changed = with_variant(usual, variant)
        try:
            for function in FUNCTIONS:
                check_together(function, getattr(changed, function))
        except ScanError as error:
            raise place.wrong(f"{error}, with {variant}") from error
    return variants


def with_variant(sample: Sample, variant: Settings) -> Sample:
    """A sample with settings of a sweep in place of its own."""
    changed: dict[str, Any] = {name: dict(getattr(sample, name)) for name in FUNCTIONS}
    for name, value in variant.items():
        function, _, setting = name.rpartition(".")
        if function:
            changed[function][setting] = value
        else:
            changed[setting] = value
    return replace(sample, variant=variant, **changed)


def swept(samples: list[Sample], variants: list[dict[str, Any]]) -> list[Sample]:
    """Each sample with each of the combinations, in a name of its own."""
    return [
        replace(with_variant(sample, variant), name=f"{sample.name}{MARK}{number}")
        for sample in samples
        for number, variant in enumerate(variants, 1)
    ]


def _checked(place: Place, name: str) -> Any:
    if name == "bin":
        return checked_binning(place)
    function, _, setting = name.partition(".")
    return checked_setting(place, cast(Function, function), setting)
