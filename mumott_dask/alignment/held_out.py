"""Projections realigned against a tomogram that has not seen them: what their offsets are worth.

The estimators are the alignment's own (`flow`, `steps`); what differs is that a projection has no say in the
tomogram that it is compared with, and that half of its pixels have none in its offsets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask.images import binned, products_of_pairs
from mumott_dask.measured import Signal, checked_signal, signal_and_mask
from mumott_dask.projector import Projector, VolumeChunks, with_slabs
from mumott_dask.reconstruction import SirtWeights, iterated, mitra_steps, sirt_weights

from .flow import Sides, Systems, sides_of_all, small_systems
from .level import Level, trusting, whole_level
from .records import TRUSTED, Unknowns
from .result import with_offsets
from .steps import Step, instrument, solved, turned
from .views import beyond_view, iterations_for

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Volume = NDArray[np.float32]
Progress = Callable[[str], None]

FOLDS = 10
_STEPS = 3  # of the held-out unknowns against their tomogram, which does not change
_LARGEST_STEP = 1.0  # pixels
_EVERYTHING = Unknowns(background=3, rotations=True)
_BLOCK = 8  # pixels: residuals further apart have nothing to do with each other


@dataclass(frozen=True)
class Aligned:
    """A scan as its alignment took it to be."""

    level: Level
    weights: SirtWeights
    unknowns: Unknowns
    free: Flags  #: (projection, 2): which offsets were looked for
    weight: Floats  #: (projection,): 0 for projections that were left out
    smoothing: float  #: pixels
    cut: tuple[bool, bool]  #: whether the sample goes on beyond the view, along j and along k
    iterations: int  #: of MITRA for each tomogram

    def tomogram(self, seen: Flags) -> Volume:
        """Tomogram of the projections that are seen, (projection,) bool, from nothing."""
        level = self.level
        share = np.float32(max((self.weight * seen).sum(), 1) / max(self.weight.sum(), 1))
        steps = mitra_steps(
            level.projector,
            level.data,
            trusting(self.weights.rays, self.weight * seen),
            self.weights.voxels / share,
            background=self.unknowns.background,
            every=self.iterations,
        )
        return iterated(steps).tomogram

    def some(self, chosen: NDArray[np.intp]) -> Level:
        """The level of some of the projections."""
        level = self.level
        data, mask = arrays.keep_images(level.data[chosen], level.mask[chosen])
        return replace(level, projector=level.projector[chosen], data=data, mask=mask)

    def freedom(self, unknowns: Unknowns, chosen: NDArray[np.intp] | slice = slice(None)) -> Flags:
        """Which unknowns of some projections may move, (projection, unknown)."""
        return np.pad(self.free[chosen], ((0, 0), (0, unknowns.count - 2)), constant_values=True)

    def systems(self, tomogram: Volume) -> Systems:
        """Small systems of all projections, of which those that count have told the tomogram."""
        found = small_systems(self.level, tomogram, self.smoothing, self.unknowns)
        counted = max(int(np.count_nonzero(self.weight)), 1)
        return found._replace(filled=found.filled * len(self.weight) / counted)

    def held_out_systems(
        self, level: Level, tomogram: Volume, unknowns: Unknowns, sides: Sides = sides_of_all
    ) -> Systems:
        """Small systems of images that the tomogram has not seen: their residuals hold its error already."""
        return small_systems(level, tomogram, self.smoothing, unknowns, sides)._replace(filled=0.0)


@dataclass(frozen=True)
class Realigned:
    """Held-out estimates, by projection; NaN where an offset was not looked for."""

    difference: Floats  #: (projection, 2), pixels: by half of the pixels, less the alignment's
    halving: Floats  #: (projection, 2), pixels: standard error that half of the pixels add
    deviation: Floats  #: (projection, 2), pixels: standard error of the held-out offset by all pixels
    expected: Floats  #: (projection, 2), pixels: that of the alignment's own offset
    background_shift: Floats  #: (projection, 2), pixels: what a free background moves the offsets by
    rotation_shift: Floats  #: (projection, 2), pixels: what free rotations move them by
    rotation: Floats  #: (projection, 3), radians: the rotations that the images ask for
    instrument: Floats  #: (3,), radians: the rotation in the laboratory that all of them together ask for
    taken: float  #: share of the data that the tomogram of all projections takes for itself


def aligned(
    scan: xr.Dataset, alignment: xr.Dataset, iterations: int, volume_chunks: VolumeChunks = None
) -> Aligned:
    """The scan with an alignment's geometry, and the freedom that the alignment took."""
    scan = with_offsets(scan, alignment)
    labels = np.asarray(scan["projection"])
    chosen = alignment.sel(projection=labels)
    signal = _signal(scan, alignment)
    data, mask = signal_and_mask(scan, signal)
    projector = with_slabs(Projector.from_scan(scan), volume_chunks)
    bounds = alignment.attrs.get("window", [[0, side] for side in projector.detector_shape])
    window = slice(*bounds[0]), slice(*bounds[1])
    level = whole_level(projector, data, mask, window, signal.kind == "transmission")
    cut = beyond_view(level)
    level = level.with_room(cut)
    out = np.isin(labels, alignment.attrs.get("excluded", []))
    weight = np.array(chosen["weight"]) if "weight" in chosen else np.ones(len(labels))
    weight = np.where(out | (weight < TRUSTED), 0.0, weight)
    directions = alignment.attrs.get("directions", "jk")
    free = np.tile([name in directions for name in "jk"], (len(labels), 1))
    free[np.isin(labels, alignment.attrs.get("fixed", [])) | (weight == 0)] = False
    stages = json.loads(alignment.attrs.get("stages", "[]"))
    unknowns = Unknowns(
        chosen.sizes["term"] if "background" in chosen else 0,
        bool(alignment.attrs.get("refine_angles", False)),
    )
    return Aligned(
        level,
        sirt_weights(level.projector, arrays.chunk_lengths(level.data), level.mask),
        unknowns,
        free,
        weight,
        stages[-1]["smoothing"] if stages else 0.7,
        cut,
        iterations_for(iterations, cut, unknowns),
    )


def _signal(scan: xr.Dataset, alignment: xr.Dataset) -> Signal:
    """The signal that was aligned."""
    segment = alignment.attrs.get("segment", "mean")
    return checked_signal(
        scan,
        alignment.attrs.get("variable") or None,
        None if segment == "mean" else int(segment),
        alignment.attrs.get("transmission_corrected"),
    )


def realigned(scan: Aligned, progress: Progress) -> Realigned:
    """Each tenth of the projections, interleaved, realigned against a tomogram of the others.

    Parameters
    ----------
    scan : Aligned
    progress : callable
        Told what has been done.
    """
    n = len(scan.weight)
    whole_tomogram = scan.tomogram(np.ones(n, bool))
    progress("tomogram of all projections")
    own = scan.systems(whole_tomogram)
    expected = solved(own, scan.unknowns, scan.freedom(scan.unknowns)).deviations[:, :2]
    parts = []
    order = np.argsort(np.arange(n) % FOLDS, kind="stable")
    for fold in range(min(FOLDS, n)):
        held = np.arange(fold, n, FOLDS)
        seen = np.ones(n, bool)
        seen[held] = False
        parts.append(_part(scan, held, scan.tomogram(seen)))
        progress(f"tenth {fold + 1} of the projections")
    back = np.argsort(order)
    columns = [np.concatenate(each)[back] for each in zip(*(part[0] for part in parts), strict=True)]
    systems, rotation = _joined([part[1] for part in parts], back), scan.level.projector.rotation
    counted = scan.weight > 0
    turn = instrument(systems, _EVERYTHING, rotation, scan.freedom(_EVERYTHING) & counted[:, None]).turn
    difference, halving, deviation, by_background, by_rotation, turns = columns
    untested = ~scan.free
    for each in (difference, halving, deviation, by_background, by_rotation):
        each[untested] = np.nan
    return Realigned(
        difference,
        halving,
        deviation,
        np.where(untested, np.nan, expected),
        by_background,
        by_rotation,
        turns,
        turn,
        own.taken,
    )


def _part(scan: Aligned, held: NDArray[np.intp], tomogram: Volume) -> tuple[list[Floats], Systems]:
    """Estimates of the held-out projections, and their systems with every unknown that there is."""
    level, unknowns = scan.some(held), scan.unknowns
    free = scan.freedom(unknowns, held)
    moved = np.zeros((len(held), 2))
    for _ in range(_STEPS):
        systems = scan.held_out_systems(level, tomogram, unknowns)
        step = solved(systems, unknowns, free)
        change = np.clip(_offsets(step), -_LARGEST_STEP, _LARGEST_STEP)
        moved += change
        projector = level.projector
        projector = projector.with_offsets(
            projector.j_offset + change[:, 0], projector.k_offset + change[:, 1]
        ).with_rotation(turned(projector.rotation, step.rotation))
        level = replace(level, projector=projector)
    everything = scan.held_out_systems(level, tomogram, _EVERYTHING)
    modelled = scan.freedom(_EVERYTHING, held)
    modelled[:, 2 + unknowns.background : 5] = False
    modelled[:, 5:] = unknowns.rotations
    with_background, with_rotations = modelled.copy(), modelled.copy()
    with_background[:, _EVERYTHING.background_part] = True
    with_rotations[:, _EVERYTHING.rotation_part] = True
    base, flat, turning = (
        solved(everything, _EVERYTHING, flags) for flags in (modelled, with_background, with_rotations)
    )
    halves = scan.held_out_systems(level, tomogram, unknowns, sides_of_halves)
    half = solved(halves, unknowns, free)
    found = [
        moved + _offsets(half),
        half.deviations[:, :2],
        step.deviations[:, :2],
        _offsets(flat) - _offsets(base),
        _offsets(turning) - _offsets(base),
        turning.rotation,
    ]
    return found, everything


def sides_of_halves(
    influence: list[Volume], residual: Volume, left: Volume, mask: Volume, flux: Volume
) -> list[Floats]:
    """Right-hand sides with the signs of a chequerboard, and their covariance, from their parts in blocks.

    Solved for, they are what half of the pixels add to the offsets by all, and how uncertain that is: every
    other pixel tells of what changes from pixel to pixel, be it noise or not. See `flow.sides_of_all`.
    """
    xp = devices.namespace(left)
    j, k = np.indices(left.shape[1:])
    (signs,) = devices.beside(left, np.where((j + k) % 2 == 0, 1, -1).astype(np.float32))
    parts = [_BLOCK**2 * binned(each * left * signs, _BLOCK) for each in influence]
    sides = [xp.sum(part, axis=(1, 2), dtype=xp.float64) for part in parts]
    return [*sides, *products_of_pairs(parts, parts)]


def _offsets(step: Step) -> Floats:
    return np.stack([step.j, step.k], axis=1)


def _joined(parts: list[Systems], order: NDArray[np.intp]) -> Systems:
    names = ("matrix", "side", "spread", "squares", "pixels", "seen")
    whole = {name: np.concatenate([getattr(part, name) for part in parts])[order] for name in names}
    return Systems(**whole, filled=sum(part.filled for part in parts))
