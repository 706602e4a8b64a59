"""How well offsets can be found at all: the Cramer-Rao bound of a projection's own photons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP = 0.1
"""Half the distance between the views of which the derivative is taken, pixels."""


def offset_bounds(
    expected: Callable[[Floats, Floats], Floats],
    photons: float,
    j_offset: Floats,
    k_offset: Floats,
    usable: NDArray[np.bool_] | None = None,
) -> tuple[Floats, Floats]:
    """Least standard deviations of the offsets of each projection, everything else known.

    The inverse of the Fisher information ``sum over pixels of (dI/da) (dI/db) / I`` of Poisson counts with
    mean I, a and b being the two offsets.

    Parameters
    ----------
    expected : callable
        Expected readings (projection, j, k) at offsets (j, k), open ones being 1: the forward model.
    photons : float
        Photons per open pixel.
    j_offset, k_offset : (projection,) float, pixels
        The true offsets.
    usable : (projection, j, k) bool, optional
        Pixels that hold information; all by default.

    Returns
    -------
    j_bound, k_bound : (projection,) float64, pixels
        NaN where a projection says nothing about an offset.
    """
    readings = np.asarray(expected(j_offset, k_offset), dtype=np.float64)
    slopes = [
        (
            np.asarray(expected(j_offset + j, k_offset + k), dtype=np.float64)
            - expected(j_offset - j, k_offset - k)
        )
        / (2 * STEP)
        for j, k in ((STEP, 0.0), (0.0, STEP))
    ]
    lit = readings > 0
    if usable is not None:
        lit &= usable
    weight = np.divide(photons, readings, out=np.zeros_like(readings), where=lit)
    jj, jk, kk = (
        np.einsum("njk,njk,njk->n", weight, slopes[a], slopes[b]) for a, b in ((0, 0), (0, 1), (1, 1))
    )
    determinant = jj * kk - jk**2
    known = determinant > 1e-9 * (jj + kk) ** 2
    determinant[~known] = np.nan
    return np.sqrt(kk / determinant), np.sqrt(jj / determinant)
