"""What was measured, as a signal that the rays add up, and the mask of the pixels that hold it (floor 4).

In: a scan. Out: images and mask, (projection, j, k), NumPy or Dask as the scan is. Transmitted intensities
become absorbance; additive images are used as they are; of the detector's segments (`data`), scattering that
adds up along the ray, it is their mean or one of them, and the absorption on its way is divided out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import arrays, devices
from .absorption import (
    absorbance_images,
    air_level,
    air_level_and_empty,
    pixel_weights,
    report_empty,
    without_spikes,
)
from .errors import ScanError
from .scan.schema import signal_variable

_CUTOFF = (1e-4, 2.0)  # the noise of the air lies on both sides of 1: clipping it there would bias it
_LEAST_TRANSMITTED = 1e-3  # of the open beam; below, what scattered through is noise
_DARK = 0.05  # of the scan's open beam: a projection with less has seen no beam


class Signal(NamedTuple):
    """Which signal of a scan is meant; see `checked_signal`."""

    name: str
    kind: str  #: "transmission", or "additive" for one that the rays add up by themselves
    segment: int | None = None  #: of `data`; None for the mean over all
    transmission_corrected: bool = False  #: whether `data` is divided by what the diode lets through

    @property
    def unit(self) -> str:
        """Unit of what the rays add up."""
        return "absorbance" if self.kind == "transmission" else "arbitrary"

    @property
    def label(self) -> str:
        """What to call it."""
        return "absorbance" if self.kind == "transmission" else self.name


def checked_signal(
    scan: xr.Dataset,
    variable: str | None = None,
    segment: int | None = None,
    transmission_corrected: bool | None = None,
) -> Signal:
    """The signal that is meant, or one line that says what makes no sense.

    Parameters
    ----------
    scan : Dataset
    variable : str, optional
        A signal of the scan, or ``"data"`` for its detector segments; the diode by default.
    segment : int, optional
        Of `data`, counted from 0; by default the mean over all.
    transmission_corrected : bool, optional
        Whether `data` is divided by the diode's transmission; by default where there is a diode.
    """
    if variable != "data" or "data" not in scan:
        name = signal_variable(scan, variable)
        for option, value in (("segment", segment), ("transmission_corrected", transmission_corrected)):
            if value is not None:
                raise ScanError(
                    f"{option} is {value!r}, which is for variable 'data' alone, not for {name!r}"
                )
        return Signal(name, str(scan[name].attrs["kind"]))
    if segment is not None:
        count = scan.sizes["segment"]
        whole = isinstance(segment, int | np.integer) and not isinstance(segment, bool)
        if not whole or not 0 <= segment < count:
            raise ScanError(
                f"segment is {segment!r}, expected a whole number from 0 to {count - 1}, or None: their mean"
            )
        segment = int(segment)
    if transmission_corrected and "diode" not in scan:
        raise ScanError("transmission_corrected is True, which needs a 'diode', the scan has none")
    corrected = "diode" in scan if transmission_corrected is None else bool(transmission_corrected)
    return Signal("data", "additive", segment, corrected)


def signal_and_mask(
    scan: xr.Dataset, signal: Signal | str | None = None, gpu: bool = False
) -> tuple[Any, Any]:
    """What the rays add up, float32, and the mask of the pixels that hold it, bool, (projection, j, k) each.

    A transmission signal becomes absorbance, faulty pixels masked; an additive one is used as it is. The mask
    of segments is the share of them that hold something, float32. Chunked arrays are held where they were
    computed. With `gpu`, both end in a GPU's memory, and those of a scan in memory are made there.
    """
    signal = signal if isinstance(signal, Signal) else checked_signal(scan, signal)
    if signal.name == "data":
        value, mask = _segments(scan, signal)
    else:
        inputs = scan[signal.name].data, pixel_weights(scan)
        if gpu:
            inputs = devices.to_device(inputs[0]), devices.to_device(inputs[1])
        value, mask, *empty = arrays.in_batches(
            _absorbance if signal.kind == "transmission" else _finite, *inputs
        )
        if empty:
            report_empty(empty[0], np.asarray(scan["projection"]))
    if gpu:
        value, mask = devices.to_device(value), devices.to_device(mask)
    return arrays.keep_images(value, mask)


def _absorbance(measured: Any, weights: Any) -> tuple[Any, Any, NDArray[np.bool_]]:
    """Absorbance, which pixels hold one (faulty ones don't), and which projections hold nothing."""
    readings = without_spikes(measured)
    air, empty = air_level_and_empty(readings, weights)
    level = np.where(empty, np.nan, air)[:, None, None]
    if arrays.is_chunked(measured):  # what this makes on the way is a few projections', not a chunk
        types = np.float32, np.bool_
        return *arrays.images_of(_below_without_spikes, types, measured, weights, level), empty
    return *_below(readings, measured, weights, level), empty


def _below_without_spikes(measured: Any, weights: Any, level: Any) -> tuple[Any, Any]:
    return _below(without_spikes(measured), measured, weights, level)


def _below(readings: Any, measured: Any, weights: Any, level: Any) -> tuple[Any, Any]:
    """Absorbance of readings below a level, and which pixels hold one."""
    xp = devices.namespace(readings)
    value, valid = absorbance_images(xp.astype(readings, xp.float64), weights, level, _CUTOFF)
    return value, valid & (readings == measured)


def _finite(measured: Any, weights: Any) -> tuple[Any, Any]:
    xp = devices.namespace(measured)
    data = xp.astype(measured, xp.float32)
    valid = xp.isfinite(data) & (weights > 0)
    return xp.where(valid, data, 0.0), valid


def _segments(scan: xr.Dataset, signal: Signal) -> tuple[Any, Any]:
    """Mean over the valid segments, or the chosen one, and the share of valid segments."""
    data, weights = scan["data"].data, scan["weights"]
    weights = weights.data if "segment" in weights.dims else weights.data[..., None]
    if signal.segment is not None:
        one = slice(signal.segment, signal.segment + 1)
        data, weights = data[..., one], weights[..., one] if weights.shape[-1] > 1 else weights
    value, share = arrays.images_of(mean_and_share, (np.float32,) * 2, data, weights)
    if signal.transmission_corrected:
        transmitted, seen = _transmitted(scan)
        value = np.where(seen, value / np.where(seen, transmitted, 1), 0).astype(np.float32)
        share = share * seen
    value, share = arrays.keep_images(value, share)
    empty = arrays.of_each_projection(_is_flat, value, share).astype(bool)
    report_empty(empty, np.asarray(scan["projection"]))
    return arrays.keep_images(value, share * (~empty[:, None, None]).astype(np.float32))


def mean_and_share(data: NDArray[Any], weights: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean over the segments that hold something, and the share of them, (projection, j, k) each."""
    valid = np.isfinite(data) & (weights > 0)
    share = valid.mean(axis=-1, dtype=np.float32)
    mean = np.where(valid, data, np.float32(0)).mean(axis=-1, dtype=np.float32)
    return mean / np.maximum(share, np.float32(0.5 / data.shape[-1])), share


def _transmitted(scan: xr.Dataset) -> tuple[Any, Any]:
    """What the diode reads of the scan's open beam, and where that is enough, (projection, j, k) each.

    Of the whole scan's open beam, not each projection's: scattering drifts with the flux as the diode does.
    """
    measured = scan["diode"].data
    readings = without_spikes(measured)
    air = air_level(readings, pixel_weights(scan))
    usual = float(np.median(air))
    if not usual > 0:
        raise ScanError(
            f"the diode's open beam is {usual:g}, expected more than 0, or transmission_corrected=False"
        )
    dark = ~(air > _DARK * usual)
    report_empty(dark, np.asarray(scan["projection"]))
    transmitted = readings / np.float32(usual)
    seen = (transmitted > _LEAST_TRANSMITTED) & ~dark[:, None, None] & (readings == measured)
    return transmitted, seen


def _is_flat(images: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 for an image that is the same in all valid pixels, though it has some."""
    valid = mask > 0
    low = np.where(valid, images, np.inf).min(axis=(1, 2))
    high = np.where(valid, images, -np.inf).max(axis=(1, 2))
    return np.asarray(low == high, dtype=np.float64)
