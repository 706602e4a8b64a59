"""Where an alignment starts: the scan's offsets, zero, another alignment's, or the centre of mass."""

from __future__ import annotations

import logging
from os import PathLike
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.arrays import chunk_lengths
from mumott_dask.errors import ScanError
from mumott_dask.reconstruction import iterated, mitra_steps, sirt_weights
from mumott_dask.scan.schema import holds_offsets

from .level import Level
from .line import line_offsets
from .result import open_alignment
from .settings import Settings

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
_TRIAL_ITERATIONS = 6
_CLEARLY_BETTER = 0.8  # share of the loss


class Start(NamedTuple):
    """Offsets to start from, pixels."""

    j: Floats
    k: Floats
    meant: bool  #: whether somebody put them there, so that their gauge is worth keeping


def given_start(scan: xr.Dataset, start: str | PathLike[str] | xr.Dataset) -> Start:
    """The offsets that `start` names: "scan", "zero", or an alignment or its path."""
    if isinstance(start, str) and start == "scan":
        return Start(np.array(scan["j_offset"]), np.array(scan["k_offset"]), holds_offsets(scan))
    if isinstance(start, str) and start == "zero":
        return Start(np.zeros(scan.sizes["projection"]), np.zeros(scan.sizes["projection"]), False)
    alignment = start if isinstance(start, xr.Dataset) else open_alignment(start)
    labels = np.asarray(scan["projection"])
    missing = labels[~np.isin(labels, np.asarray(alignment["projection"]))]
    if missing.size:
        raise ScanError(f"the alignment to start from has no projection {missing[0]}, the scan has")
    chosen = alignment.sel(projection=labels)
    return Start(np.array(chosen["j_offset"]), np.array(chosen["k_offset"]), True)


def line_start(level: Level, settings: Settings, before: Start) -> Start:
    """Offsets from the centre of mass; held and excluded ones, and a gauge that is meant, of `before`."""
    held = np.array([settings.held_j, settings.held_k])
    old = np.array(before[:2])
    new = np.array(line_offsets(level))
    new = np.where(np.isfinite(new).all(axis=0), new, old)
    anchors = held if held.any() or not before.meant else np.ones_like(held)
    if anchors.any():
        moved = np.where(anchors & ~settings.excluded, old - new, np.nan)
        new += geometry.gauge_offsets(
            geometry.gauge_vector(moved[0], moved[1], settings.scan_axes), settings.scan_axes
        )
    j, k = np.where(held | settings.excluded, old, new)
    return Start(j, k, before.meant)


def better_start(level: Level, scan_start: Start, line: Start) -> Start:
    """The scan's offsets or the centre of mass, by what a few iterations of MITRA leave unexplained.

    Offsets that somebody put into the scan are kept unless the others are clearly better: aligning an aligned
    scan must not move it.
    """
    given = _trial_loss(level.with_offsets(scan_start.j, scan_start.k))
    massed = _trial_loss(level.with_offsets(line.j, line.k))
    take_line = massed < given * (_CLEARLY_BETTER if scan_start.meant else 1)
    name = "centre of mass" if take_line else "scan"
    log.info("starts from the offsets of the %s (loss %.4g; scan's %.4g)", name, min(given, massed), given)
    return line if take_line else scan_start


def _trial_loss(level: Level) -> float:
    weights = sirt_weights(level.projector, chunk_lengths(level.data), level.mask)
    steps = mitra_steps(level.projector, level.data, *weights, every=_TRIAL_ITERATIONS)
    return float(iterated(steps).loss)
