"""Optical flow: the shift of each projection from what the tomogram leaves unexplained.

With r the measured image less the reprojected one, ``r ~ dP/dj s + dP/dk t`` to first order in the error
(s, t) of the offsets (Lucas and Kanade, Proc. IJCAI 1981, for a single displacement over an image). The two
are solved for together, by weighted least squares over the pixels of a projection.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays
from mumott_dask.projector import Projector

from .level import Level

Floats = NDArray[np.float64]


class Flow(NamedTuple):
    """Steps that the images ask for, in pixels of the level, and what they leave unexplained."""

    j: Floats  #: (projection,)
    k: Floats  #: (projection,)
    residual: float  #: RMS absorbance over unmasked pixels


def flow(level: Level, tomogram: NDArray[np.float32], smoothing: float, directions: str = "jk") -> Flow:
    """Steps of the offsets of every projection, from one tomogram.

    Parameters
    ----------
    level : Level
    tomogram : (x, y, z) array
    smoothing : float, pixels of the level
    directions : "j", "k" or "jk"
        The offsets that are unknown; steps of the others are 0.
    """
    sums = level.projector.map_projections(
        normal_sums, tomogram, level.data, level.mask, window=level.window, smoothing=smoothing
    )
    (sums,) = arrays.materialise(sums)
    jj, jk, kk, j, k, squares, pixels = sums.T
    if directions == "jk":
        steps = _solved(np.stack([jj, jk, jk, kk], axis=1).reshape(-1, 2, 2), np.stack([j, k], axis=1))
    else:
        steps = np.zeros((len(sums), 2))
        (column, matrix, side) = (0, jj, j) if directions == "j" else (1, kk, k)
        steps[:, column] = np.divide(side, matrix, out=np.zeros_like(side), where=matrix > 0)
    residual = np.sqrt(squares.sum() / max(pixels.sum(), 1))
    return Flow(steps[:, 0], steps[:, 1], float(residual))


def normal_sums(
    projector: Projector,
    tomogram: NDArray[np.float32],
    data: NDArray[np.float32],
    mask: NDArray[np.float32],
    window: NDArray[np.float32],
    smoothing: float,
) -> Floats:
    """Sums of the small systems of some projections, (projection, 7).

    In order: the normal matrix's jj, jk and kk, its right-hand side's j and k, the sum of squared residuals
    without smoothing or window, and the number of pixels that it runs over.
    """
    predicted = projector.forward(tomogram)
    residual = (data - predicted) * mask
    pixels = mask.sum(axis=(1, 2), dtype=np.float64)
    squares = np.einsum("njk,njk->n", residual, residual, dtype=np.float64)
    by_j, by_k = np.gradient(arrays.smooth(predicted, smoothing, "nearest"), axis=(1, 2))
    weighted_residual = arrays.smooth(residual, smoothing)
    weight = window * mask
    weighted_residual *= weight
    products = [(by_j, by_j * weight), (by_j, by_k * weight), (by_k, by_k * weight)]
    products += [(by_j, weighted_residual), (by_k, weighted_residual)]
    columns = [np.einsum("njk,njk->n", a, b, dtype=np.float64) for a, b in products]
    return np.stack([*columns, squares, pixels], axis=1)


def _solved(matrices: Floats, sides: Floats) -> Floats:
    """Solutions of small symmetric systems; directions that a projection does not determine stay 0."""
    return np.einsum("nab,nb->na", np.linalg.pinv(matrices, rcond=1e-6, hermitian=True), sides)


def capped(flow: Flow, largest: float) -> Flow:
    """The same steps, none longer than `largest` along either axis."""
    return flow._replace(j=np.clip(flow.j, -largest, largest), k=np.clip(flow.k, -largest, largest))
