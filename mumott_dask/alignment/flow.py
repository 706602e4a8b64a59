"""Optical flow: what each projection's image says of its unknowns, given a tomogram.

With r the measured image less the reprojected one P, ``r ~ sum_a (dP/da) s_a`` to first order in the errors
s of the unknowns (Lucas and Kanade, Proc. IJCAI 1981, for a displacement over an image): the two offsets
and, where asked for, a background of absorbance and three small rotations. All of a projection's unknowns are
solved for together, by weighted least squares over its pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask.images import differences, products, products_of_pairs, smooth
from mumott_dask.projector import Projector
from mumott_dask.projector.backgrounds import background_terms, without_background

from .level import Level
from .records import Unknowns

Floats = NDArray[np.float64]
Images = Any  #: float32, NumPy or on a device
Sides = Callable[[list[Images], Images, Images, Images, Images], list[Floats]]

_LN10 = math.log(10)
_MOST_TAKEN = 0.9
_FROM_MODEL = 0.2  # see `sides_of_all`
_LARGEST_RESIDUAL = 1.0  # absorbance; beyond it a pixel is wrong, and its exponential would rule


class Systems(NamedTuple):
    """The small systems of all projections: units of the level's pixels, absorbance and radians."""

    matrix: Floats  #: (projection, a, b): normal matrices H
    side: Floats  #: (projection, a): right-hand sides
    spread: Floats  #: (projection, a, b): covariance of the right-hand sides
    squares: Floats  #: (projection,): sum of squared residuals over unmasked pixels
    pixels: Floats  #: (projection,): their number
    seen: Floats  #: (projection,): number of pixels that see the sample, (sum P)^2 / sum P^2
    filled: float  #: number of voxels that hold it, (sum V)^2 / sum V^2

    @property
    def taken(self) -> float:
        """Share of what the data say that the tomogram, unknown as well, takes for itself."""
        return float(min(self.filled / max(self.seen.sum(), 1), _MOST_TAKEN))

    @property
    def residual(self) -> float:
        """RMS residual over all unmasked pixels, absorbance."""
        return float(np.sqrt(self.squares.sum() / max(self.pixels.sum(), 1)))

    @property
    def residuals(self) -> Floats:
        """RMS residual of each projection, (projection,), absorbance."""
        return np.sqrt(self.squares / np.maximum(self.pixels, 1))


def sides_of_all(
    influence: list[Images], residual: Images, left: Images, mask: Images, flux: Images
) -> list[Floats]:
    """Right-hand sides, (projection,) for each unknown, then their covariance, for each pair of unknowns.

    The covariance is that of the pixels: the noise's and a part of what is left beside it, as what the model
    leaves of an image cancels in part between neighbours. How much of it counts was found from simulated
    scans whose offsets are known (see the accuracy benchmark).

    Parameters
    ----------
    influence : list of (projection, j, k) arrays
        What the pixels' residuals are summed with, for each unknown.
    residual : (projection, j, k) array
    left : (projection, j, k) array
        The residual less a background, where that is free.
    mask, flux : (projection, j, k) array
        See `noise_variance`.
    """
    noise = noise_variance(left, mask, flux)
    variance = noise + _FROM_MODEL * (left * left - noise)
    spread = products_of_pairs(influence, [each * variance for each in influence])
    return [*products_of_pairs(influence, [residual]), *spread]


def small_systems(
    level: Level,
    tomogram: Images,
    smoothing: float,
    unknowns: Unknowns,
    sides: Sides = sides_of_all,
) -> Systems:
    """The small system of every projection, given a tomogram.

    Parameters
    ----------
    level : Level
    tomogram : (x, y, z) array
    smoothing : float, pixels of the level
        Standard deviation of the Gaussian that residual and derivatives are smoothed with.
    unknowns : Unknowns
    sides : callable
        Gives the systems' `side`, then their `spread`, an (a, b) after another: see `sides_of_all`.
    """
    sums = level.projector.map_projections(
        normal_sums,
        tomogram,
        level.data,
        level.mask,
        turns=unknowns.rotations,
        window=level.window,
        smoothing=smoothing,
        unknowns=unknowns,
        counting=level.counting,
        sides=sides,
    )
    (sums,) = arrays.materialise(sums)
    m = unknowns.count
    matrix, side, scatter, *counts = np.split(sums, np.cumsum([m * m, m, m * m, 1, 1]), axis=1)
    squares, pixels, seen = (each.ravel() for each in counts)
    filled = _filled(tomogram)
    systems = matrix.reshape(-1, m, m), side, scatter.reshape(-1, m, m)
    return Systems(*systems, squares, pixels, seen, filled)


def _filled(tomogram: Images) -> float:
    xp = devices.namespace(tomogram)
    flat = xp.reshape(tomogram, (-1,))
    total, squares = xp.sum(flat, dtype=xp.float64), xp.astype(xp.vecdot(flat, flat), xp.float64)
    return float(devices.numbers(total**2 / xp.maximum(squares, 1e-30)))


def normal_sums(
    projector: Projector,
    tomogram: Images,
    data: Images,
    mask: Images,
    window: Images,
    smoothing: float,
    unknowns: Unknowns,
    counting: bool,
    sides: Sides = sides_of_all,
) -> Floats:
    """Sums of the small systems of some projections, (projection, number): `Systems`, side by side."""
    tomogram, window = devices.beside(data, tomogram, window)

    def some(predicted: Images, data: Images, mask: Images, *turns: Images) -> Floats:
        slopes = derivatives(predicted, turns, smoothing, unknowns)
        xp = devices.namespace(mask)
        mask = xp.astype(mask, xp.float32)
        return _normal_sums(predicted, data, mask, slopes, window, smoothing, unknowns, counting, sides)

    predicted, turns = projector.reproject(tomogram), turned_images(projector, tomogram, unknowns)
    return arrays.in_batches(some, predicted, data, mask, *turns)


def _normal_sums(
    predicted: Images,
    data: Images,
    mask: Images,
    slopes: list[Images],
    window: Images,
    smoothing: float,
    unknowns: Unknowns,
    counting: bool,
    sides: Sides,
) -> Floats:
    xp = devices.namespace(data)
    reach = _LARGEST_RESIDUAL if counting else xp.max(xp.abs(predicted), axis=(1, 2), keepdims=True)
    residual = xp.maximum(xp.minimum(data - predicted, reach), -reach) * mask
    pixels = xp.sum(mask, axis=(1, 2), dtype=xp.float64)
    weight = window * mask
    left = without_background(residual, mask, unknowns.background) * mask
    squares = products(left, left)
    flux = xp.ones_like(predicted)
    if counting:  # of counts with mean 10**-P, not of their logarithm, which is biased where they are few
        background = residual - left
        left = (1 - xp.exp(-_LN10 * left)) * (1 / _LN10) * mask
        residual = background + left
        flux = xp.exp(-_LN10 * xp.maximum(smooth(predicted, 1.0, "nearest"), 0))
        weight = weight * flux
    weighted = [slope * weight for slope in slopes]
    influence = [smooth(each, smoothing) * mask for each in weighted]
    matrix = products_of_pairs(weighted, slopes)
    seen = xp.square(products(predicted, mask)) / xp.maximum(products(predicted * mask, predicted), 1e-30)
    told = sides(influence, residual, left, mask, flux)
    return xp.stack([*matrix, *told, squares, pixels, seen], axis=1)


def derivatives(
    predicted: Images, turns: Sequence[Images], smoothing: float, unknowns: Unknowns
) -> list[Images]:
    """Images of the derivative of a smoothed projection by each of its unknowns, (projection, j, k) each.

    `turns` are `turned_images`.
    """
    xp = devices.namespace(predicted)
    found = differences(smooth(predicted, smoothing, "nearest"), (1, 2))
    terms = background_terms(predicted.shape[1:], unknowns.background, predicted)
    found += [xp.broadcast_to(term, predicted.shape) for term in terms]
    return found + [smooth(turn, smoothing, "nearest") for turn in turns]


def turned_images(projector: Projector, tomogram: Images, unknowns: Unknowns) -> list[Images]:
    """Derivatives of projections by three small rotations, (projection, j, k) each, if those are unknown."""
    if not unknowns.rotations:
        return []
    return projector.turns(tomogram)


def noise_variance(residual: Images, mask: Images, flux: Images) -> Images:
    """Variance of the noise of every pixel, (projection, j, k), as what is left at the finest scale.

    Differences of differences of neighbours see next to nothing but noise (Immerkaer, Comput. Vis. Image
    Underst. 64, 300 (1996)): what the model can't explain varies more slowly.

    Parameters
    ----------
    residual, mask : (projection, j, k) array
    flux : (projection, j, k) array
        What the variance is inversely proportional to.
    """
    xp = devices.namespace(residual)
    even = residual * xp.sqrt(flux)
    crossed = even[:, 1:, 1:] - even[:, 1:, :-1] - even[:, :-1, 1:] + even[:, :-1, :-1]
    valid = (mask[:, 1:, 1:] * mask[:, 1:, :-1] * mask[:, :-1, 1:] * mask[:, :-1, :-1]) > 0
    valid = xp.astype(valid, xp.float32)
    level = products(crossed, crossed * valid) / xp.maximum(
        4 * xp.sum(valid, axis=(1, 2), dtype=xp.float64), 1.0
    )
    return xp.astype(level, xp.float32)[:, None, None] / flux
