"""A background of absorbance that each image may hold: a constant, or that and slopes along both axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mumott_dask import devices

Images = Any  #: float32, NumPy or on a device


def background_terms(detector_shape: tuple[int, ...], count: int = 3, beside: Any = None) -> list[Images]:
    """Images (j, k) of the terms: 1, and slopes along j and along k that rise by 1 across the detector.

    They live where `beside` does, an array, and are made there.
    """
    lines = (((np.arange(n) + 0.5) / n - 0.5).astype(np.float32) for n in detector_shape)
    j, k = devices.beside(beside, *lines)
    xp = devices.namespace(j)
    flat = xp.ones(detector_shape, dtype=xp.float32, device=devices.device_of(j))
    return [flat, flat * j[:, None], flat * k][:count]


def without_background(images: Images, weights: Images, count: int) -> Images:
    """Images less the background that fits each of them best, by weighted least squares.

    Parameters
    ----------
    images, weights : (projection, j, k) array
    count : int
        Number of terms; 0 leaves the images as they are.
    """
    if not count:
        return images
    xp = devices.namespace(images)
    n, j, k = images.shape
    terms = xp.reshape(xp.stack(background_terms((j, k), count, images)), (count, j * k))
    pairs = xp.reshape(terms[:, None, :] * terms, (count * count, -1))
    flat, weight = xp.reshape(images, (n, -1)), xp.reshape(weights, (n, -1))
    matrix = xp.astype(weight @ pairs.T, xp.float64)
    side = xp.astype((weight * flat) @ terms.T, xp.float64)
    inverse = xp.linalg.pinv(xp.reshape(matrix, (n, count, count)), rtol=1e-6)
    fitted = xp.astype(xp.matmul(inverse, side[..., None])[..., 0], xp.float32) @ terms
    return xp.reshape(flat - fitted, images.shape)
