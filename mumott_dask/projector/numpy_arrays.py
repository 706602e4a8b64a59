"""The projector on NumPy arrays: laid out, then handed to the numba kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import numba_channels, numba_cpu
from .backgrounds import without_background
from .beam import ParallelBeam
from .lanes import LANES
from .layout import blocks, pairs

Floats = NDArray[np.float32]

LAID_OUT = 4 * 2**20
"""Bytes of projections that are laid out at a time, so that their copies take little memory."""


def forward(beam: ParallelBeam, volume: NDArray[Any]) -> Floats:
    """Line integrals of a volume (x, y, z[, channel])."""
    single = volume.ndim == 3
    kernels = numba_cpu if single else numba_channels
    kernel = kernels.forward_threaded if beam.threads else kernels.forward_serial
    out = np.zeros((*beam.shape, *volume.shape[3:]), np.float32)
    axes, *parameters = beam.rays
    for main in np.unique(axes[:, 0]):
        numbers = np.flatnonzero(axes[:, 0] == main)
        view = volume.transpose(*axes[numbers[0]], *range(3, volume.ndim))
        kernel(pairs(view) if single else blocks(view), numbers, *parameters, out)
    return out


def adjoint(beam: ParallelBeam, projections: NDArray[Any]) -> Floats:
    """Sum over projections (projection, j, k[, channel]) of what lands where each voxel does."""
    single = projections.ndim == 3
    kernels = numba_cpu if single else numba_channels
    kernel = kernels.adjoint_threaded if beam.threads else kernels.adjoint_serial
    out = np.zeros((*beam.volume_shape, *projections.shape[3:]), np.float32)
    at_once = max(LANES, LAID_OUT // (4 * max(1, math.prod(projections.shape[1:]))))
    for first in range(0, len(beam), at_once):
        some = slice(first, first + at_once)
        batch = projections[some]
        landing = (_padded(along[:, some]) for along in beam.landing)
        kernel(pairs(batch) if single else blocks(batch), *landing, out)
    return out


def weighted_residual(
    images: Floats, data: NDArray[Any], weights: NDArray[Any], background: int
) -> tuple[Floats, np.float64]:
    """Projections less the data, times the weights, in place; and half the weighted sum of squares."""
    images -= data
    images = without_background(images, weights, background)
    loss = 0.0
    for left, weight in zip(images, weights, strict=True):  # in place, so that no more images are held
        weighted = left * weight
        loss += float(np.vdot(left, weighted))
        left[...] = weighted
    return images, np.float64(loss / 2)


def _padded(landing: Floats) -> Floats:
    """Landing parameters with as many more as fit into lanes, far outside."""
    more = -landing.shape[1] % LANES
    padded = np.pad(np.ascontiguousarray(landing), ((0, 0), (0, more)))
    padded[0, landing.shape[1] :] = -1e9
    return padded
