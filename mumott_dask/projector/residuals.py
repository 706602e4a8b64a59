"""What is left of measured images when those of a tomogram are taken off, wherever they live."""

from __future__ import annotations

from functools import cache
from typing import Any

from array_api_compat import is_cupy_array

from mumott_dask import arrays, devices

from .backgrounds import without_background


def weighted_residual(images: Any, data: Any, weights: Any, background: int) -> tuple[Any, Any]:
    """Projections less the data, times the weights, in place; and half the weighted sum of squares.

    Parameters
    ----------
    images, data, weights : (projection, j, k[, channel]) array
    background : int
        Terms of a background that is taken off as well; see `without_background`.

    Returns
    -------
    residual : (projection, j, k[, channel]) float32
    loss : float64 scalar
    """
    xp = devices.namespace(images)
    if is_cupy_array(images) and not background:
        squares = xp.empty_like(images)
        _squares_of_weighted()(data, weights, images, squares)
        return images, xp.sum(squares, dtype=xp.float64) / 2
    images -= data
    images = without_background(images, weights, background)
    loss = xp.zeros((), dtype=xp.float64, device=devices.device_of(images))
    for some in arrays.batches(images):  # so that no more images are held
        left = images[some, ...]
        weighted = left * weights[some, ...]
        flat = (left.shape[0], -1)
        loss += xp.sum(xp.vecdot(xp.reshape(left, flat), xp.reshape(weighted, flat)), dtype=xp.float64)
        images[some, ...] = weighted
    return images, loss / 2


@cache
def _squares_of_weighted() -> Any:
    """Weighted squares, from data, weights and images; the images become weighted residuals."""
    import cupy

    return cupy.ElementwiseKernel(
        "float32 data, float32 weight",
        "float32 image, float32 square",
        """
        const float left = image - data;
        image = left * weight;
        square = left * image;
        """,
        "mumott_dask_weighted_residual",
    )
