"""Fewer or larger pixels, with the geometry kept right.

What must not change is the ray of each part of the image: ``j + 1/2 + j_offset - J/2`` voxels from the centre
of the volume (and likewise along k). A bare ``isel(j=...)`` changes J and so moves the view.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .schema import TOMOGRAM_DIMS, pixel_weights, validate_scan

_OFFSETS = {"j": ("j_offset", "j_offset_true"), "k": ("k_offset", "k_offset_true")}


def crop(scan: xr.Dataset, j: slice | None = None, k: slice | None = None) -> xr.Dataset:
    """Cut the detector down to a window; the volume stays as it is.

    Cropping to [a, b) of J pixels adds ``(a + b - J) / 2`` to the offsets, so the remaining pixels look along
    the same rays, and a cropped scan aligns to what the whole one does plus that.

    Parameters
    ----------
    scan : xr.Dataset
    j, k : slice, optional
        Pixels to keep along each direction, without a step. Negative numbers count from the end.

    Returns
    -------
    xr.Dataset
        A scan of fewer pixels; not computed where `scan` is chunked.

    Raises
    ------
    ScanError
        Where a window is no slice, has a step, or holds no pixel.

    Examples
    --------
    >>> crop(scan, k=slice(2, -2))  # doctest: +SKIP
    """
    validate_scan(scan)
    for dim, window in (("j", j), ("k", k)):
        if window is None:
            continue
        size = scan.sizes[dim]
        start, stop = _bounds(dim, window, size)
        scan = scan.isel({dim: slice(start, stop)})
        scan = _with_moved_offsets(scan, dim, 1, (start + stop - size) / 2)
    return scan


def bin_scan(scan: xr.Dataset, n: int) -> xr.Dataset:
    """Join n x n pixels into one, and n x n x n voxels likewise.

    Intensities are averaged before any logarithm, as a larger pixel would, and every signal with its
    ``weights``, so masked pixels count for nothing. A binned weight is the mean of its pixels' weights; it
    is 0 where less than half of the pixels have any, because the mean of the rest would lie off the centre.
    Pixels at the far ends that fill no whole bin are left out, for the same reason.

    Offsets and ``volume_shape`` (rounded up) are divided by n, ``pixel_size`` is multiplied. A known true
    tomogram is averaged over the new voxels and multiplied by n: they are as much longer on a ray's way.

    Parameters
    ----------
    scan : xr.Dataset
    n : int
        At most as many as the detector has pixels, in either direction.

    Returns
    -------
    xr.Dataset
        A scan of fewer pixels; not computed where `scan` is chunked.

    Raises
    ------
    ScanError
        Where `n` is no such number.
    """
    validate_scan(scan)
    if (
        isinstance(n, bool)
        or not isinstance(n, int | np.integer)
        or not 1 <= n <= min(scan.sizes["j"], scan.sizes["k"])
    ):
        raise ScanError(
            f"n is {n!r}, expected a whole number from 1 to {min(scan.sizes['j'], scan.sizes['k'])}, "
            f"for a detector of {scan.sizes['j']} x {scan.sizes['k']} pixels"
        )
    n = int(n)
    changed = _binned_stacks(scan, n)
    if "tomogram_true" in scan:
        changed["tomogram_true"] = _binned_volume(scan["tomogram_true"], n)
    resized = ("j", "k", *TOMOGRAM_DIMS)
    binned = scan.drop_dims(resized, errors="ignore").assign(changed)
    for dim in ("j", "k"):
        binned = _with_moved_offsets(binned, dim, n, (binned.sizes[dim] - scan.sizes[dim] / n) / 2)
    attrs: dict[str, Any] = {"volume_shape": [-(-int(size) // n) for size in scan.attrs["volume_shape"]]}
    if "pixel_size" in scan.attrs:
        attrs["pixel_size"] = scan.attrs["pixel_size"] * n
    return binned.assign_attrs(attrs)


def _bounds(dim: str, window: slice, size: int) -> tuple[int, int]:
    if not isinstance(window, slice) or window.step not in (None, 1):
        raise ScanError(f"{dim} is {window!r}, expected a slice without a step")
    try:
        start, stop, _ = window.indices(size)
    except TypeError as error:
        raise ScanError(f"{dim} is {window!r}, expected a slice of whole numbers") from error
    if stop <= start:
        raise ScanError(f"{dim} is {window!r}, which holds none of the {size} pixels")
    return start, stop


def _with_moved_offsets(scan: xr.Dataset, dim: str, n: int, move: float) -> xr.Dataset:
    """Divide the offsets along a direction by `n` and add `move`, known true ones too."""
    names = [name for name in _OFFSETS[dim] if name in scan.coords]
    return scan.assign_coords({name: scan[name].copy(data=scan[name].values / n + move) for name in names})


def _binned_stacks(scan: xr.Dataset, n: int) -> dict[Hashable, xr.DataArray]:
    stacks = {name: variable for name, variable in scan.data_vars.items() if {"j", "k"} <= set(variable.dims)}
    del stacks["weights"]
    weights, per_pixel = scan["weights"], pixel_weights(scan)
    binned = {
        name: _weighted_mean(stack, weights if weights.dims == stack.dims else per_pixel, n)
        for name, stack in stacks.items()
    }
    binned["weights"] = _binned_weights(weights, n)
    return binned


def _means(stack: xr.DataArray, n: int) -> xr.DataArray:
    return stack.coarsen(j=n, k=n, boundary="trim").mean()


def _weighted_mean(stack: xr.DataArray, weights: xr.DataArray, n: int) -> xr.DataArray:
    """Mean with the weights; the plain mean where they are all 0, so that every value is one."""
    weight = _means(weights, n)
    mean = _means(stack * weights, n) / weight.where(weight > 0, 1)
    binned = mean.where(weight > 0, _means(stack, n)).transpose(*stack.dims).astype(stack.dtype)
    return binned.assign_attrs(stack.attrs)


def _binned_weights(weights: xr.DataArray, n: int) -> xr.DataArray:
    covered = _means((weights > 0).astype(weights.dtype), n)
    return _means(weights, n).where(covered >= 0.5, 0).astype(weights.dtype).assign_attrs(weights.attrs)


def _binned_volume(volume: xr.DataArray, n: int) -> xr.DataArray:
    """Absorbance per voxel on a grid of n times larger voxels about the same centre."""
    binned = volume
    for dim in TOMOGRAM_DIMS:
        missing = -volume.sizes[dim] % n
        if missing % 2:  # the new grid lies half a voxel off the old one
            binned = binned.isel({dim: np.repeat(np.arange(volume.sizes[dim]), 2)})
        parts = 1 + missing % 2
        padding = missing * parts // 2
        binned = binned.pad({dim: (padding, padding)}, constant_values=0).coarsen({dim: n * parts}).mean()
    return (binned * n).astype(volume.dtype).assign_attrs(volume.attrs)
