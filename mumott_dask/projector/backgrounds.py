"""A background of absorbance that each image may hold: a constant, or that and slopes along both axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


def background_terms(detector_shape: tuple[int, int], count: int = 3) -> list[Images]:
    """Images (j, k) of the terms: 1, and slopes along j and along k that rise by 1 across the detector."""
    j, k = (((np.arange(n) + 0.5) / n - 0.5).astype(np.float32) for n in detector_shape)
    flat = np.ones(detector_shape, np.float32)
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
    _, j, k = images.shape
    terms = np.stack(background_terms((j, k), count)).reshape(count, -1)
    flat, weight = images.reshape(len(images), -1), weights.reshape(len(images), -1)
    matrix = (weight @ (terms[:, None] * terms).reshape(count * count, -1).T).astype(np.float64)
    side = ((weight * flat) @ terms.T).astype(np.float64)
    inverse = np.linalg.pinv(matrix.reshape(-1, count, count), rcond=1e-6, hermitian=True)
    fitted = np.einsum("nab,nb->na", inverse, side).astype(np.float32) @ terms
    return (flat - fitted).reshape(images.shape)
