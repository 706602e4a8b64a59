"""From the diode's readings to transmittivity and absorbance, by mumott's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask import absorbance
from mumott_dask.compat.missing import names_of_mumott

__all__ = ["get_absorbances", "get_transmittivities"]

__getattr__ = names_of_mumott(__name__)


def get_transmittivities(
    diode: ArrayLike,
    normalize_per_projection: bool = False,
    normalization_percentile: float = 99.9,
    cutoff_values: tuple[float, float] = (1e-4, 1.0),
) -> dict[str, NDArray[Any]]:
    """Transmittivity of the diode's readings, and the masks of the pixels within the cut-offs.

    Parameters
    ----------
    diode : (projection, j, k) array
        Not changed.
    normalize_per_projection : bool
        Whether the open beam is found in each projection or once in the whole scan.
    normalization_percentile : float
        The percentile that is taken for the open beam.
    cutoff_values : (float, float)
        Transmittivities are clipped to these, which lie within 0 and 1.

    Returns
    -------
    dict
        `transmittivity` (projection, j, k); `cutoff_mask_lower` and `cutoff_mask_upper`
        (projection, j, k, 1): 0 below and above the cut-offs.

    Raises
    ------
    ScanError
        (a ValueError) Where the cut-offs make no sense, or a tenth of the projections hold nothing.
    """
    low, high = cutoff_values
    if not 0 < low < high <= 1:
        raise ValueError(f"cutoff_values is {cutoff_values}, expected two values that rise within 0 and 1")
    scan = xr.Dataset({"diode": (("projection", "j", "k"), np.asarray(diode))})
    found = absorbance(scan, normalization_percentile, (low, high), normalize_per_projection)
    value, valid = found["absorbance"].values[..., np.newaxis], found["mask"].values[..., np.newaxis] > 0
    lowest, highest = (-np.log10(cutoff_values)).astype(value.dtype)
    return {
        "transmittivity": 10.0 ** -value[..., 0].astype(float),
        "cutoff_mask_lower": valid | (value < lowest),
        "cutoff_mask_upper": valid | (value > highest),
    }


def get_absorbances(diode: ArrayLike, **kwargs: Any) -> dict[str, NDArray[Any]]:
    """Absorbance of the diode's readings, ``-log10`` of the transmittivity, and its mask.

    Parameters
    ----------
    diode : (projection, j, k) array
        Not changed.
    **kwargs
        Those of `get_transmittivities`.

    Returns
    -------
    dict
        `absorbances` and `cutoff_mask`, (projection, j, k, 1).

    Raises
    ------
    ScanError
        See `get_transmittivities`.
    """
    found = get_transmittivities(diode, **kwargs)
    return {
        "absorbances": -np.log10(found["transmittivity"])[..., np.newaxis],
        "cutoff_mask": (found["cutoff_mask_lower"] & found["cutoff_mask_upper"]).astype(float),
    }
