"""Phase matching: each measured image registered to the reprojected one by their cross-correlation.

The method of mumott's ``phase_matching_alignment``: the shift at which the cross-correlation of the two
images is largest, on a grid of a fraction of a pixel (Guizar-Sicairos and others, Opt. Lett. 33, 156 (2008)).
It finds shifts of any size in one step, but none that is smaller than its grid, and no standard errors: once
the offsets are within a few pixels, optical flow does better.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

from mumott_dask import arrays, devices
from mumott_dask.errors import ScanError
from mumott_dask.projector import Projector

from .level import Level
from .records import Stage
from .steps import Step

Floats = NDArray[np.float64]
Images = NDArray[np.float32]

_MOST_UPSAMPLING = 1000
_LARGEST_PART = 4  # of the detector's smaller side: no shift is larger, unless a cap says otherwise


class Matching(NamedTuple):
    """How phase matching is done."""

    upsampling: int  #: steps of the grid within a pixel
    shift_cap: float  #: largest shift taken from one iteration, pixels


class Matches(NamedTuple):
    """What the registration of all projections found."""

    shifts: Floats  #: (projection, 2): along j and along k, pixels of the level
    squares: Floats  #: (projection,): sum of squared residuals over unmasked pixels
    pixels: Floats  #: (projection,): their number

    @property
    def residual(self) -> float:
        """RMS residual over all unmasked pixels, in units of the signal."""
        return float(np.sqrt(self.squares.sum() / max(self.pixels.sum(), 1)))

    @property
    def residuals(self) -> Floats:
        """RMS residual of each projection, (projection,), in units of the signal."""
        return np.sqrt(self.squares / np.maximum(self.pixels, 1))


def checked_matching(upsampling: int, shift_cap: float | None, detector_shape: tuple[int, int]) -> Matching:
    """Options of phase matching, or one line that says which makes no sense."""
    whole = isinstance(upsampling, int | np.integer) and not isinstance(upsampling, bool)
    if not whole or not 1 <= upsampling <= _MOST_UPSAMPLING:
        raise ScanError(f"upsampling is {upsampling!r}, expected a whole number from 1 to {_MOST_UPSAMPLING}")
    if shift_cap is None:
        return Matching(int(upsampling), min(detector_shape) / _LARGEST_PART)
    if not shift_cap > 0:
        raise ScanError(f"shift_cap is {shift_cap} pixels, expected more than 0")
    return Matching(int(upsampling), float(shift_cap))


def matching_stages(detector_shape: tuple[int, int], tolerance: float) -> tuple[Stage, ...]:
    """Binned by two where the detector is large enough for it, then all pixels; nothing is smoothed."""
    fine = Stage("phase matching", 1, 0.0, 20, 24, 8, tolerance)
    if min(detector_shape) < 24:
        return (fine,)
    return Stage("phase matching, binned by 2", 2, 0.0, 20, 10, 5, max(0.2, tolerance)), fine


def matched(level: Level, tomogram: Images, upsampling: int) -> Matches:
    """Shift of every projection against a tomogram, where its chunk lives.

    Parameters
    ----------
    level : Level
    tomogram : (x, y, z) array
    upsampling : int
        Shifts are multiples of ``1 / upsampling`` pixels of the level.
    """
    found = level.projector.map_projections(
        shifts_and_residuals,
        tomogram,
        level.data,
        level.mask,
        window=level.window,
        upsampling=upsampling,
    )
    (found,) = arrays.materialise(found)
    return Matches(found[:, :2], found[:, 2], found[:, 3])


def shifts_and_residuals(
    projector: Projector,
    tomogram: Images,
    data: Images,
    mask: Images,
    window: Images,
    upsampling: int,
) -> Floats:
    """Shifts, squared residuals and numbers of pixels of some projections, (projection, 4).

    Masked pixels take the value that is reprojected into them, so that they ask for no shift.
    """
    # The library that registers images works in the host's memory.
    made = projector.reproject(tomogram), data, mask, window
    predicted, data, mask, window = map(devices.to_host, made)
    residual = (data - predicted) * mask
    squares = np.einsum("njk,njk->n", residual, residual, dtype=np.float64)
    measured = predicted + residual
    shifts = [shift(*pair, upsampling) for pair in zip(predicted * window, measured * window, strict=True)]
    return np.column_stack([shifts, squares, mask.sum(axis=(1, 2), dtype=np.float64)])


def shift(predicted: Images, measured: Images, upsampling: int) -> Floats:
    """By how much the content of a measured image is to move to lie on the predicted one, (2,), pixels.

    By the geometry's convention that is what its offset lacks. The cross-correlation is not normalised:
    equal weight for all frequencies would be weight for noise.

    Parameters
    ----------
    predicted, measured : (j, k) array
    upsampling : int
    """
    if not (predicted.any() and measured.any()):
        return np.zeros(2)
    found = phase_cross_correlation(predicted, measured, upsample_factor=upsampling, normalization=None)
    return np.asarray(found[0], dtype=np.float64)


def matched_step(matches: Matches, free: NDArray[np.bool_]) -> Step:
    """The step that the shifts ask for; its standard errors are not known (NaN).

    Parameters
    ----------
    matches : Matches
    free : (projection, 2) bool
        The offsets that may move; the others stay.
    """
    shifts = np.where(free, matches.shifts, 0.0)
    nothing = np.zeros((len(shifts), 3))
    return Step(shifts[:, 0], shifts[:, 1], nothing, nothing, np.full(shifts.shape, np.nan))
