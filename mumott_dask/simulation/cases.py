"""Named cases of what alignment must cope with, and how well: for tests, the manual and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .assembly import simulate


@dataclass(frozen=True)
class Case:
    """A simulated scan, what a user would ask of `align` for it, and the largest error allowed.

    Attributes
    ----------
    description : str
    bar : float, pixels
        RMS error of the offsets with the gauge taken out, over the projections that are not wrong.
    simulation : Mapping
        Arguments of `simulate`.
    alignment : Mapping
        Keyword arguments of `align`.
    angle_bar : float, degrees, optional
        RMS norm of the rotation vector between found and true rotations, where these are refined; of the
        instrument's own rotation, either component.
    """

    description: str
    bar: float
    simulation: Mapping[str, Any] = field(default_factory=dict)
    alignment: Mapping[str, Any] = field(default_factory=dict)
    angle_bar: float | None = None


def _radians(*angles: float) -> tuple[float, ...]:
    return tuple(float(np.radians(angle)) for angle in angles)


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "clean": Case("six tilts, 40,000 photons", 0.004, {"seed": 101}),
        "jumps": Case(
            "jumps of 15 pixels between tilts, a sample small enough to stay within the view",
            0.008,
            {"jumps": 15.0, "extent": 0.6, "seed": 102},
        ),
        "dim": Case("300 photons", 0.025, {"photons": 300, "seed": 103}),
        "truncated": Case(
            "a sample 1.45 times as large as the view, which cuts it in all projections",
            0.008,
            {"extent": 1.45, "seed": 104},
        ),
        "background": Case(
            "an air level that drifts and slopes by 0.05 absorbance",
            0.008,
            {"background": 0.05, "seed": 105},
            {"background": "linear"},
        ),
        "angles": Case(
            "angles wrong by 0.5 degree RMS each",
            0.005,
            {"angle_error": np.radians(0.5), "seed": 106},
            {"refine_angles": True},
            angle_bar=0.08,
        ),
        "instrument": Case(
            "rotation axis 3 degrees off in the detector's plane, pitch 1 degree off",
            0.008,
            {"axis_error": _radians(3, 1), "seed": 107},
            {"refine_geometry": True},
            angle_bar=0.05,
        ),
        "combined": Case(
            "truncated, background slope and wrong angles together, 3,000 photons",
            0.03,
            {
                "photons": 3_000,
                "extent": 1.45,
                "background": 0.05,
                "angle_error": np.radians(0.5),
                "seed": 108,
            },
            {"background": "linear", "refine_angles": True},
        ),
        "sparse": Case("30 projections, two tilts", 0.008, {"tilts": 2, "rotations": 15, "seed": 109}),
        "outliers": Case(
            "five projections entirely wrong, 1 % hot or dead pixels in all",
            0.006,
            {"wrong": 5, "hot": 0.01, "seed": 110},
        ),
        "laminography": Case(
            "a slab at 61 degrees, wider than the view in all of 180 projections",
            0.02,
            {"sample": "slab", "tilt_angles": _radians(61), "rotations": 180, "seed": 111},
            {"background": "constant"},  # no pixel sees air
        ),
        "single_tilt": Case(
            "180 projections over 180 degrees without tilt",
            0.006,
            {"tilts": 1, "rotations": 180, "seed": 112},
        ),
        "wedge": Case(
            "a single-axis series from -70 to 70 degrees",
            0.02,
            {"tilts": 1, "rotations": 141, "arc": _radians(-70, 70), "seed": 113},
        ),
    }
)
"""The cases by name."""


def simulate_case(name: str, seed: int | None = None, **changes: Any) -> xr.Dataset:
    """Simulate a named case.

    Parameters
    ----------
    name : str
        One of `CASES`.
    seed : int, optional
        Instead of the case's own.
    **changes
        Arguments of `simulate` that replace those of the case.

    Returns
    -------
    xarray.Dataset
        As of `simulate`, its name in the attribute ``case``.

    Raises
    ------
    ScanError
        Where there is no such case.

    Examples
    --------
    >>> scan = simulate_case("single_tilt", shape=(24, 20), rotations=5)
    >>> scan.attrs["case"]
    'single_tilt'
    """
    if name not in CASES:
        raise ScanError(f"simulate_case: there is no case {name!r}, expected one of {', '.join(CASES)}")
    chosen = {} if seed is None else {"seed": seed}
    scan = simulate(**{**CASES[name].simulation, **chosen, **changes})
    scan.attrs["case"] = name
    return scan
