"""The light before the sample: a flux that drifts, an air level that drifts, jitters and slopes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .stage import slow_drift

Floats = NDArray[np.float64]


def flux(projections: int, drift: float, rng: np.random.Generator) -> Floats:
    """Relative intensity of the beam in each projection: 1, and a slow drift of the given RMS."""
    return np.maximum(1 + drift * slow_drift(projections, rng), 0)


def background(projections: int, shape: tuple[int, int], slope: float, rng: np.random.Generator) -> Floats:
    """Additive absorbance of every pixel: a constant and a slope by projection, half drift and half jitter.

    Parameters
    ----------
    projections : int
    shape : (J, K)
    slope : float, absorbance
        Largest change from one edge of the detector to the other, along the slope's direction; also the RMS
        of the constant.
    rng : numpy.random.Generator

    Returns
    -------
    (projection, J, K) float64
    """
    drift = np.array([slow_drift(projections, rng) for _ in range(3)])
    course = drift + rng.standard_normal((3, projections))
    constant = slope * course[0] / np.sqrt(2)
    j_slope, k_slope = slope * course[1:] / np.maximum(np.hypot(course[1], course[2]), 1)
    j, k = ((np.arange(n) + 0.5) / n - 0.5 for n in shape)
    return np.asarray(
        constant[:, None, None] + j_slope[:, None, None] * j[:, None] + k_slope[:, None, None] * k,
        dtype=np.float64,
    )
