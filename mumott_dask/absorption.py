"""Diode readings -> transmittivity -> absorbance and its mask (floor 2).

In: a scan. Out: a Dataset of `absorbance` and `mask`, (projection, j, k), NumPy or Dask as the scan is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from . import arrays, devices
from .errors import ScanError, ScanWarning
from .images import products, quantiles, ranks_of_nine, smooth

_OPEN_BEAM = 99.9  # percentile of the diode
_AIR_SMOOTHING = 2.0  # pixels
_REACH = 3 / (2 * math.sqrt(math.pi) * _AIR_SMOOTHING)  # three times what smoothing leaves of white noise
_LEAST_REACH = 2e-3  # of the level, for images without noise
_SPIKE, _UNUSUAL = 1 / 3, 8.0  # of the neighbours; of the noise
_RANGE = 1.14  # third largest less third smallest of nine samples of unit noise, on average
_MOST_EMPTY = 0.1  # share of projections with nothing in them beyond which a scan is an error


def absorbance(
    scan: xr.Dataset,
    percentile: float = _OPEN_BEAM,
    cutoff: tuple[float, float] = (1e-4, 1.0),
    per_projection: bool = True,
    flat: ArrayLike | None = None,
    dark: ArrayLike | None = None,
    open_beam: ArrayLike | None = None,
) -> xr.Dataset:
    """Absorbance of a scan, ``-log10`` of its transmittivity, and the mask of the pixels that hold one.

    Parameters
    ----------
    scan : Dataset
        With `diode` (projection, j, k) and, optionally, `weights`; it is not changed.
    percentile : float
        The percentile of the diode that is taken for the open beam.
    cutoff : (float, float)
        Transmittivities outside are clipped and masked.
    per_projection : bool
        Whether the open beam is found in each projection (a drifting flux) or once in the whole scan.
    flat, dark : (j, k) or (projection, j, k) array, optional
        Images of the open and of the closed beam, in the diode's units.
    open_beam : (projection,) array, optional
        Reading of the open beam in each projection (see `air_level`), instead of the percentile; where it is
        not positive, the projection counts as empty.

    Returns
    -------
    Dataset
        `absorbance` (float32) and `mask` (float32: 1 valid, 0 masked), both (projection, j, k). Masked are
        pixels outside the cut-offs, those of weight 0, and projections with nothing in them (all pixels
        equal, zero or negative flux), which are named in one `ScanWarning`.

    Raises
    ------
    ScanError
        If there is no diode, an argument makes no sense, or more than a tenth of the projections are empty.

    Notes
    -----
    Equal to ``mumott.data_handling.utilities.get_absorbances`` of mumott 2.3 to 1e-6.
    """
    if "diode" not in scan:
        raise ScanError(
            f"the scan has no 'diode', only {sorted(map(str, scan.data_vars))}: absorbance needs one"
        )
    low, high = cutoff
    if not 0 < low < high:
        raise ScanError(f"cutoff is ({low}, {high}), expected 0 < low < high")
    if not 0 < percentile <= 100:
        raise ScanError(f"percentile is {percentile}, expected more than 0 and at most 100")
    diode, weights = scan["diode"].data, pixel_weights(scan)
    flat, dark = _reference_images(scan.sizes, flat, dark)
    levels = arrays.in_batches(lambda *images: _levels(_corrected(*images), percentile), diode, flat, dark)
    empty = _nothing_in(levels)
    given = None if open_beam is None else np.asarray(open_beam, dtype=np.float64)
    if given is not None:
        if given.shape != empty.shape:
            raise ScanError(f"open_beam has shape {given.shape}, expected {empty.shape}")
        empty |= ~(given > 0)
    report_empty(
        empty, np.asarray(scan["projection"]) if "projection" in scan.coords else np.arange(len(empty))
    )
    if given is not None:
        level = given
    elif per_projection:
        level = levels[:, 0]
    else:
        corrected = _corrected(diode, flat, dark)
        (whole,) = arrays.materialise(arrays.percentile(corrected[~empty], percentile))
        level = np.full(len(empty), whole)

    def of_some(diode: Any, weights: Any, level: Any, flat: Any, dark: Any) -> tuple[Any, Any]:
        value, valid = absorbance_images(_corrected(diode, flat, dark), weights, level, cutoff)
        return value, valid.astype(np.float32)

    level = np.where(empty, np.nan, level)[:, None, None]
    value, mask = arrays.in_batches(of_some, diode, weights, level, flat, dark)
    dims = ("projection", "j", "k")
    return xr.Dataset(
        {
            "absorbance": (dims, value, {"long_name": "absorbance"}),
            "mask": (dims, mask, {"long_name": "1 valid, 0 masked"}),
        },
        coords={"projection": scan["projection"]} if "projection" in scan.coords else None,
    )


def absorbance_images(signal: Any, weights: Any, level: Any, cutoff: tuple[float, float]) -> tuple[Any, Any]:
    """Absorbance and which pixels hold one, (projection, j, k) float32 and bool.

    Parameters
    ----------
    signal, weights : (projection, j, k) array
        NumPy or Dask.
    level : (projection, 1, 1) float64, in the signal's units
        The open beam; NaN for projections with nothing in them. NumPy, or where the signal is.
    cutoff : (float, float)
        Transmittivities outside are clipped and no valid ones.
    """
    low, high = cutoff
    (level,) = devices.beside(signal, level)
    xp, own = devices.namespace(signal), devices.namespace(level)
    seen = ~own.isnan(level)
    transmittivity = signal / own.where(seen, level, 1.0)
    valid = (transmittivity >= low) & (transmittivity <= high) & (weights > 0) & seen
    return xp.astype(-xp.log10(xp.clip(transmittivity, low, high)), xp.float32), valid


def _nothing_in(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    return ~((levels[:, 0] > 0) & (levels[:, 2] > levels[:, 1]))


def air_level(diode: Any, weights: Any = None) -> NDArray[np.float64]:
    """Reading of the open beam in each projection: the mean over the pixels that see air.

    A high percentile overestimates the open beam by some three times its noise, which leaves a pedestal of
    absorbance in the whole image. Here the air is what lies around the uppermost mode of the smoothed image,
    within three times its noise. Where a projection shows no air, this is its most transparent part.

    Parameters
    ----------
    diode : (projection, j, k) array
        NumPy or Dask.
    weights : (projection, j, k) array, optional
        Pixels of weight 0 don't count, unless all of a projection are.

    Returns
    -------
    (projection,) float64, in the diode's units
    """
    return _numbers_of_readings(_air_levels, diode, weights)


def air_level_and_empty(diode: Any, weights: Any = None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The `air_level`, and which projections hold nothing: pixels all equal, no air, hardly any positive."""
    found = _numbers_of_readings(_air_and_other_levels, diode, weights)
    return found[:, 0], ~(found[:, 0] > 0) | _nothing_in(found[:, 1:])


def _numbers_of_readings(function: Callable[..., Any], diode: Any, weights: Any) -> NDArray[np.float64]:
    if weights is None or np.ndim(weights) == 0:
        return arrays.of_each_projection(function, diode)
    return arrays.of_each_projection(function, diode, weights)


def _air_and_other_levels(images: Any, weights: Any = None) -> NDArray[np.float64]:
    levels = _block_levels(images, _OPEN_BEAM)
    return np.column_stack([_air_levels(images, weights), devices.numbers(levels)])


def _air_levels(images: Any, weights: Any = None) -> NDArray[np.float64]:
    xp = devices.namespace(images)
    images = xp.astype(images, xp.float64)
    valid = None if weights is None else weights > 0
    if valid is not None:
        valid = valid | ~xp.any(valid, axis=(1, 2), keepdims=True)
        valid = None if devices.numbers(xp.all(valid)) else valid
    smoothed = smooth(images if valid is None else xp.where(valid, images, 0.0), _AIR_SMOOTHING, "nearest")
    if valid is not None:
        near = smooth(xp.astype(valid, xp.float64), _AIR_SMOOTHING, "nearest")
        smoothed = xp.where(valid, smoothed / xp.where(valid, near, 1.0), -xp.inf)
    level, bright = quantiles(smoothed, (0.97, 0.80), valid)
    bright = smoothed >= bright[:, None, None]
    (noise,) = quantiles(xp.abs(images - smoothed), (0.5,), bright)
    level, noise = devices.numbers(xp.stack([level, noise]))
    return _settled(
        level, np.maximum(_REACH * 1.4826 * noise, _LEAST_REACH * np.abs(level)), images, smoothed
    )


def _settled(
    level: NDArray[np.float64], reach: NDArray[np.float64], images: Any, smoothed: Any
) -> NDArray[np.float64]:
    """Where levels, (projection,), come to rest that go to the mean over the pixels within reach of them."""
    xp = devices.namespace(images)
    level, looked_at = level.copy(), np.arange(len(level))
    moving = np.ones_like(level, dtype=bool)
    if not devices.numbers(xp.all(xp.isfinite(smoothed))):
        images = xp.where(xp.isfinite(smoothed), images, 0.0)
    for _ in range(20):
        before, within = level[looked_at], reach[looked_at]
        low, high = devices.beside(images, *((before + way * within)[:, None, None] for way in (-1, 1)))
        air = (smoothed > low) & (smoothed < high)
        count, total = devices.numbers(
            xp.stack([xp.astype(xp.count_nonzero(air, axis=(1, 2)), xp.float64), products(images, air)])
        )
        after = np.where(moving & (count > 0), total / np.maximum(count, 1), before)
        level[looked_at] = after
        moving = np.abs(after - before) > 1e-4 * within
        if not moving.any():
            break
        if 2 * np.count_nonzero(moving) <= len(moving):  # to leave out each at once would be to copy often
            (places,) = devices.beside(images, np.flatnonzero(moving))
            images, smoothed = xp.take(images, places, axis=0), xp.take(smoothed, places, axis=0)
            looked_at, moving = looked_at[moving], moving[moving]
    return level


def without_spikes(diode: Any) -> Any:
    """Readings, those of faulty pixels (hot, dead, hit by a cosmic ray) replaced by their neighbours' median.

    A pixel is faulty where it lies outside all but two readings of its 3 x 3 neighbourhood, by more than a
    third of them and by more than eight times the noise that is usual in the projection, which grows like
    that of counts. (So a fault may have one faulty neighbour; lines of them are for `weights`.)

    Parameters
    ----------
    diode : (projection, j, k) array
        NumPy or Dask.
    """
    return arrays.map_images(_without_spikes, diode)


def _without_spikes(images: Any) -> Any:
    xp = devices.namespace(images)
    values = xp.astype(images, xp.float32)
    low, middle, high = ranks_of_nine(values)
    away = xp.maximum(values - high, low - values)
    least = 1e-3 * xp.max(xp.abs(high), axis=(1, 2), keepdims=True)
    noise = xp.sqrt(xp.maximum(high, least) + 1e-30)
    (usual,) = quantiles((high - low) / noise, (0.5,))
    usual = xp.astype(usual, xp.float32)[:, None, None] / _RANGE
    faulty = (away > _SPIKE * xp.abs(high)) & (away > _UNUSUAL * usual * noise)
    if not devices.numbers(xp.any(faulty)):
        return images
    return xp.where(faulty, xp.astype(middle, images.dtype), images)


def pixel_weights(scan: xr.Dataset) -> Any:
    """Weight of each pixel, (projection, j, k): the largest over segments; 1 where a scan has none."""
    if "weights" not in scan:
        return np.float32(1)
    weights = scan["weights"]
    return (weights.max("segment") if "segment" in weights.dims else weights).data


def _reference_images(
    sizes: Any, flat: ArrayLike | None, dark: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Images of the open and of the closed beam as arrays, checked; without one, 1 and 0."""
    shape = (sizes["projection"], sizes["j"], sizes["k"])

    def image(values: ArrayLike | None, name: str, absent: float) -> NDArray[np.float64]:
        if values is None:
            return np.array(absent)
        array = np.asarray(values, dtype=np.float64)
        if array.shape not in (shape, shape[1:]):
            raise ScanError(f"{name} has shape {array.shape}, expected {shape[1:]} or {shape}")
        return array

    dark_level, flat_level = image(dark, "dark", 0.0), image(flat, "flat", 1.0)
    if flat is not None and not np.all(flat_level - dark_level > 0):
        raise ScanError(
            "the flat image is not above the dark one everywhere: mask those pixels, or mend the images"
        )
    return flat_level, dark_level


def _corrected(diode: Any, flat: NDArray[np.float64], dark: NDArray[np.float64]) -> Any:
    signal = diode.astype(np.float64) - dark
    return signal if flat.ndim == 0 else signal / (flat - dark)


def _levels(signal: Any, percentile: float) -> NDArray[np.float64]:
    """Percentile, smallest and largest value of each projection, (projection, 3)."""
    return arrays.of_each_projection(partial(_block_levels, percentile=percentile), signal)


def _block_levels(block: Any, percentile: float) -> Any:
    xp = devices.namespace(block)
    return xp.stack(quantiles(xp.astype(block, xp.float64), (percentile / 100, 0, 1)), axis=1)


def report_empty(empty: NDArray[np.bool_], labels: NDArray[Any]) -> None:
    """Warn of projections with nothing in them, (projection,) bool; an error where they are many."""
    if not empty.any():
        return
    names = ", ".join(str(label) for label in labels[empty][:20]) + (" ..." if empty.sum() > 20 else "")
    what = f"{empty.sum()} of {len(empty)} projections hold nothing (flat, zero or negative flux): {names}"
    if empty.sum() > _MOST_EMPTY * len(empty):
        raise ScanError(f"{what}; at most a tenth may")
    warnings.warn(f"{what}; masked", ScanWarning, stacklevel=3)
