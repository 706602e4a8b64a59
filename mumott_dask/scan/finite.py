"""Pixels that are not numbers: replaced where a value is given, refused where not."""

from __future__ import annotations

from collections.abc import Collection

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask.errors import ScanError

from .schema import IMAGE_DIMS


def check_replacement(nonfinite: float | None) -> None:
    """Make sure that the value for non-finite pixels is a finite number, or None."""
    if nonfinite is not None and not (
        isinstance(nonfinite, int | float | np.number) and np.isfinite(nonfinite)
    ):
        raise ScanError(f"nonfinite is {nonfinite!r}, expected a finite number or None")


def finite_image(image: NDArray, nonfinite: float | None, where: str) -> NDArray:
    """Replace NaN and infinities in an image, or refuse it.

    Parameters
    ----------
    image : (j, k[, segment]) float
    nonfinite : float or None
        What replaces them.
    where : str
        The file, the projection and the name, for the error.

    Raises
    ------
    ScanError
        Where there are some, and nothing to replace them with.
    """
    good = np.isfinite(image)
    if good.all():
        return image
    if nonfinite is None:
        raise ScanError(
            f"{where} holds {good.size - np.count_nonzero(good)} NaN or infinite values of {good.size}, "
            "expected finite ones, or a replacement: nonfinite=0"
        )
    return np.where(good, image, image.dtype.type(nonfinite))


def finite_scan(
    scan: xr.Dataset, nonfinite: float | None, where: str, leave: Collection[str] = ()
) -> xr.Dataset:
    """Replace or refuse NaN and infinities in a scan's images; chunked ones are looked at as they are read.

    Parameters
    ----------
    scan : xr.Dataset
    nonfinite : float or None
    where : str
    leave : names
        Variables that are known to have none.

    Raises
    ------
    ScanError
        Where there are some, and nothing to replace them with.
    """
    stacks = [name for name, variable in scan.data_vars.items() if variable.dims[:3] == IMAGE_DIMS]
    names = [name for name in stacks if name not in leave]
    return scan.assign({name: _finite_variable(scan[name], nonfinite, where) for name in names})


def _finite_variable(variable: xr.DataArray, nonfinite: float | None, where: str) -> xr.DataArray:
    labels = variable["projection"].values
    where = f"{where}: {str(variable.name)!r}"
    if variable.chunks is None:
        return variable.copy(data=_finite_stack(variable.values, labels, nonfinite, where))
    axes = tuple(range(variable.ndim))
    pixels = da.blockwise(
        _finite_stack,
        axes,
        variable.data,
        axes,
        da.from_array(labels, chunks=(variable.chunks[0],)),
        axes[:1],
        nonfinite=nonfinite,
        where=where,
        meta=variable.data._meta,
    )
    return variable.copy(data=pixels)


def _finite_stack(stack: NDArray, labels: NDArray, nonfinite: float | None, where: str) -> NDArray:
    if all(np.isfinite(image).all() for image in stack):
        return stack
    return np.stack(
        [
            finite_image(image, nonfinite, f"{where}: projection {label}")
            for label, image in zip(labels, stack, strict=True)
        ]
    )
