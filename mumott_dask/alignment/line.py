"""Offsets from the centre of mass of each projection: a start that needs no tomogram.

What is projected keeps its centre of mass: it lands at (u . c, w . c) for a sample of centre c, where the
sample is inside the view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays

from .level import Level

Floats = NDArray[np.float64]


def line_offsets(level: Level) -> tuple[Floats, Floats]:
    """Offsets (j, k) that put the centre of mass of every projection where the volume's centre projects to.

    A projection without mass gets NaN.

    Parameters
    ----------
    level : Level
        Its own offsets don't matter; the result is in its pixels.

    Returns
    -------
    j_offset, k_offset : (projection,) float64
    """
    moments = arrays.of_each_projection(_moments, level.data, level.mask)
    mass = np.where(moments[:, 0] > 0, moments[:, 0], np.nan)
    side_j, side_k = level.projector.detector_shape
    return (side_j - 1) / 2 - moments[:, 1] / mass, (side_k - 1) / 2 - moments[:, 2] / mass


def _moments(images: NDArray[np.float32], mask: NDArray[np.float32]) -> Floats:
    images = images * mask
    along_j, along_k = images.sum(axis=2, dtype=np.float64), images.sum(axis=1, dtype=np.float64)
    return np.stack(
        [along_j.sum(axis=1), along_j @ np.arange(images.shape[1]), along_k @ np.arange(images.shape[2])],
        axis=1,
    )
