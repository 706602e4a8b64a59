"""Offsets from the centre of mass of each projection: a start that needs no tomogram.

What is projected keeps its centre of mass: it lands at (u . c, w . c) for a sample of centre c, where the
sample is inside the view.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays, devices

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


def _moments(images: Any, mask: Any) -> Any:
    xp = devices.namespace(images)
    images = images * xp.astype(mask, xp.float32)
    along_j, along_k = (xp.sum(images, axis=axis, dtype=xp.float64) for axis in (2, 1))
    j, k = devices.beside(images, *(np.arange(side, dtype=np.float64) for side in images.shape[1:]))
    return xp.stack([xp.sum(along_j, axis=1), along_j @ j, along_k @ k], axis=1)
