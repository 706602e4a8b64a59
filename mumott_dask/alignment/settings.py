"""What an alignment was asked to do, checked against the scan it is asked to do it to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.errors import ScanError
from mumott_dask.measured import Signal, checked_signal
from mumott_dask.scan.schema import detector_shape, scan_basis, volume_shape

from .phase_matching import Matching, checked_matching, matching_stages
from .records import Stage, Unknowns, default_stages, tutorial_stages

METHODS = ("auto", "line", "optical-flow", "phase-matching", "tutorial")
GAUGES = ("auto", "keep", "mass")
DIRECTIONS = ("j", "k", "jk")

Gauge = Literal["auto", "keep", "mass"] | tuple[float, float, float]
Background = Literal["constant", "linear"] | None
Part = slice | tuple[int | None, int | None] | None


@dataclass(frozen=True)
class Settings:
    """Checked settings of an alignment; arrays are by projection, in the scan's order."""

    method: str
    directions: str
    gauge: Gauge
    window: tuple[slice, slice]
    variable: str | None
    signal: Signal
    iterations: int
    tolerance: float
    stages: tuple[Stage, ...]
    excluded: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    labels: NDArray[np.int64]
    scan_axes: geometry.Basis
    directions_0: tuple[tuple[float, ...], ...]
    volume_shape: tuple[int, int, int]
    background: Background
    refine_angles: bool
    refine_geometry: bool
    matching: Matching | None = None  #: how phase matching is done, where that is the method

    @property
    def unknowns(self) -> Unknowns:
        """What is unknown of each projection."""
        terms = {None: 0, "constant": 1, "linear": 3}[self.background]
        return Unknowns(terms, self.refine_angles or self.refine_geometry)

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which unknowns of each projection may move, (projection, unknown)."""
        free = np.ones((len(self.fixed), self.unknowns.count), bool)
        free[:, 0], free[:, 1] = ~self.held_j, ~self.held_k
        free[self.excluded] = False
        free[self.fixed, self.unknowns.rotation_part] = False
        return free

    def axes_of(self, rotation: NDArray[np.float64]) -> geometry.Basis:
        """Ray directions and detector axes at the given rotations."""
        return geometry.basis(rotation, *self.directions_0)

    @property
    def held_j(self) -> NDArray[np.bool_]:
        """Whether the offset j of a projection stays bit for bit as it was."""
        return self.fixed | self.excluded | ("j" not in self.directions)

    @property
    def held_k(self) -> NDArray[np.bool_]:
        """Whether the offset k of a projection stays bit for bit as it was."""
        return self.fixed | self.excluded | ("k" not in self.directions)

    @property
    def free_gauge(self) -> NDArray[np.float64]:
        """Directions, (3, n), in which the sample may be moved with the held offsets as they are."""
        return geometry.free_gauge(self.scan_axes, self.held_j & ~self.excluded, self.held_k & ~self.excluded)

    def attrs(self) -> dict[str, Any]:
        """The settings as attributes that a file can hold."""
        return {
            "method": self.method,
            "directions": self.directions,
            "gauge": self.gauge if isinstance(self.gauge, str) else list(self.gauge),
            "window": [[part.start, part.stop] for part in self.window],
            "variable": self.variable or "",
            "background": self.background or "",
            "refine_angles": self.refine_angles,
            "refine_geometry": self.refine_geometry,
            "iterations": self.iterations,
            "tolerance": self.tolerance,
            "stages": json.dumps([vars(stage) for stage in self.stages]),
            "excluded": [int(label) for label in self.labels[self.excluded]],
            "fixed": [int(label) for label in self.labels[self.fixed]],
            **({} if self.matching is None else self.matching._asdict()),
            **self._segments(),
        }

    def _segments(self) -> dict[str, Any]:
        if self.signal.name != "data":
            return {}
        segment = "mean" if self.signal.segment is None else self.signal.segment
        return {"segment": segment, "transmission_corrected": self.signal.transmission_corrected}


def check_settings(
    scan: xr.Dataset,
    method: str,
    directions: str,
    gauge: Gauge,
    window: tuple[Part, Part] | None,
    variable: str | None,
    iterations: int | None,
    tolerance: float,
    exclude: Iterable[int],
    fixed: Iterable[int],
    background: Background,
    refine_angles: bool,
    refine_geometry: bool,
    upsampling: int = 20,
    shift_cap: float | None = None,
    segment: int | None = None,
    transmission_corrected: bool | None = None,
    own_stages: Sequence[Stage] | None = None,
) -> Settings:
    """Settings for a scan, or one line that says which of them makes no sense."""
    if method not in METHODS:
        raise ScanError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    if directions not in DIRECTIONS:
        raise ScanError(f"directions is {directions!r}, expected one of {', '.join(DIRECTIONS)}")
    if background not in (None, "constant", "linear"):
        raise ScanError(f"background is {background!r}, expected None, 'constant' or 'linear'")
    if not tolerance > 0:
        raise ScanError(f"tolerance is {tolerance} pixels, expected more than 0")
    if iterations is not None and iterations < 1:
        raise ScanError(f"iterations is {iterations}, expected at least 1")
    shape, matching = detector_shape(scan), None
    if shift_cap is not None and method != "phase-matching":
        raise ScanError(
            f"shift_cap is {shift_cap} pixels, which is for phase-matching alone, not for {method}"
        )
    if method == "line":
        stages: tuple[Stage, ...] = ()
    elif method == "phase-matching":
        if background is not None or refine_angles or refine_geometry:
            raise ScanError("phase matching finds offsets alone: what else is unknown wants optical-flow")
        matching = checked_matching(upsampling, shift_cap, shape)
        tolerance = max(tolerance, 1 / upsampling)
        stages = matching_stages(shape, tolerance)
    else:
        stages = tutorial_stages(tolerance) if method == "tutorial" else default_stages(shape, tolerance)
    stages = stages if own_stages is None else _checked_stages(own_stages, method)
    most = sum(stage.iterations for stage in stages) or 1
    labels = np.asarray(scan["projection"])
    excluded, held = listed(labels, exclude, "exclude"), listed(labels, fixed, "fixed")
    check_left(excluded, held)
    return Settings(
        method,
        directions,
        _checked_gauge(gauge, scan),
        _checked_window(window, detector_shape(scan)),
        variable,
        checked_signal(scan, variable, segment, transmission_corrected),
        most if iterations is None else min(iterations, most),
        tolerance,
        stages,
        excluded,
        held,
        labels,
        scan_basis(scan),
        tuple(tuple(scan.attrs[f"{axis}_direction_0"]) for axis in "pjk"),
        volume_shape(scan),
        background,
        bool(refine_angles),
        bool(refine_geometry),
        matching,
    )


def _checked_stages(stages: Sequence[Stage], method: str) -> tuple[Stage, ...]:
    """Stages that somebody asks for instead of the method's own."""
    if method == "line":
        raise ScanError("stages are for methods that reproject, not for line, which has none")
    if not stages:
        raise ScanError("stages is empty, expected one or more")
    for stage in stages:
        counts = stage.binning, stage.iterations, stage.first_iterations, stage.inner_iterations
        if min(counts) < 1 or stage.smoothing < 0:
            raise ScanError(
                f"stage {stage.name!r} has binning or iterations under 1, or a negative smoothing"
            )
    return tuple(stages)


def listed(known: NDArray[np.int64], labels: Iterable[int], name: str) -> NDArray[np.bool_]:
    """Which of the scan's labels, `known`, are among some that an option `name` holds."""
    wanted = list(labels)
    for label in wanted:
        if label not in known:
            raise ScanError(f"{name} names projection {label}, the scan has {known[0]} to {known[-1]}")
    return np.isin(known, wanted)


def check_left(excluded: NDArray[np.bool_], fixed: NDArray[np.bool_]) -> None:
    """See that there is something left to align."""
    left = np.count_nonzero(~excluded)
    if left < 2:
        raise ScanError(f"exclude leaves {left} projections, expected at least 2")
    if np.all(fixed[~excluded]):
        raise ScanError("all projections are fixed: there is nothing to align")


def _checked_gauge(gauge: Gauge, scan: xr.Dataset) -> Gauge:
    if isinstance(gauge, str):
        if gauge not in GAUGES:
            raise ScanError(f"gauge is {gauge!r}, expected one of {', '.join(GAUGES)} or (x, y, z) in voxels")
        return gauge
    place = tuple(float(value) for value in gauge)
    half = np.array(volume_shape(scan)) / 2
    if len(place) != 3 or not np.all(np.abs(place) < half):
        raise ScanError(
            f"gauge is {place}, expected (x, y, z) in voxels from the centre, within {tuple(half)}"
        )
    return place


def _checked_window(window: tuple[Part, Part] | None, shape: tuple[int, int]) -> tuple[slice, slice]:
    parts = (None, None) if window is None else tuple(window)
    if len(parts) != 2:
        raise ScanError(f"window has {len(parts)} parts, expected two: (start, stop) along j and along k")
    checked = []
    for part, side, name in zip(parts, shape, "jk", strict=True):
        bounds = part if isinstance(part, slice) else slice(*(part or (None, None)))
        start, stop = (
            (0 if bounds.start is None else bounds.start + side * (bounds.start < 0)),
            (side if bounds.stop is None else bounds.stop + side * (bounds.stop < 0)),
        )
        if not 0 <= start < stop <= side:
            raise ScanError(f"window along {name} is {start} to {stop}, expected within 0 to {side}")
        checked.append(slice(int(start), int(stop)))
    return checked[0], checked[1]
