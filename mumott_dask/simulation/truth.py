"""What a simulated scan knows of itself, as labelled arrays beside its data."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask.geometry import rms_offsets
from mumott_dask.scan.schema import COORDINATE_DIMS, TOMOGRAM_DIMS

from .views import Views

Floats = NDArray[np.float64]

PIXEL = {"units": "pixel"}


def with_truth(scan: xr.Dataset, tomogram: NDArray[np.float32], seen: Views) -> xr.Dataset:
    """A scan with its true tomogram and offsets, and with what is true of its faults where it has any."""
    scan = scan.assign_coords(
        j_offset_true=("projection", seen.j_offset, PIXEL),
        k_offset_true=("projection", seen.k_offset, PIXEL),
    )
    scan["tomogram_true"] = TOMOGRAM_DIMS, tomogram, {"units": "absorbance per voxel"}
    if seen.rotation is not seen.nominal:
        scan = scan.assign_coords(rotation_true=(COORDINATE_DIMS["rotation"], seen.rotation))
    if seen.wrong.any.any():
        scan = scan.assign_coords(wrong_true=("projection", seen.wrong.any))
    if seen.axis_error.any():
        scan.attrs["axis_error_true"] = seen.axis_error.tolist()
    return scan


def with_bounds(scan: xr.Dataset, j_bound: Floats, k_bound: Floats) -> xr.Dataset:
    """A scan with the least standard deviations of its offsets, and their RMS over both axes."""
    scan = scan.assign_coords(
        j_offset_bound=("projection", j_bound, PIXEL), k_offset_bound=("projection", k_bound, PIXEL)
    )
    scan.attrs["offset_bound"] = rms_offsets(j_bound, k_bound)
    return scan
