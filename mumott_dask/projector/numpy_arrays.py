"""The projector on NumPy arrays: laid out, then handed to the numba kernels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import numba_channels, numba_cpu
from .beam import ParallelBeam
from .lanes import LANES
from .layout import CHANNELS, GROUP, groups, pairs, slabs
from .residuals import weighted_residual
from .splines import reproject as reproject

Floats = NDArray[np.float32]


def forward(beam: ParallelBeam, volume: NDArray[Any]) -> Floats:
    """Line integrals of a volume (x, y, z[, channel])."""
    single = volume.ndim == 3
    kernels = numba_cpu if single else numba_channels
    kernel = kernels.forward_threaded if beam.threads else kernels.forward_serial
    out = np.zeros((*beam.shape, *volume.shape[3:]), np.float32)
    for slices, *rays in slabs(beam, volume, kernels.SLAB):
        for laid_out in _laid_out(slices):
            kernel(*laid_out, *rays, out)
            del laid_out  # before more is laid out
    return out


def adjoint(beam: ParallelBeam, projections: NDArray[Any]) -> Floats:
    """Sum over projections (projection, j, k[, channel]) of what lands where each voxel does."""
    out = np.zeros((*beam.volume_shape, *projections.shape[3:]), np.float32)
    _add_adjoint(beam, projections, out)
    return out


def gradient(
    beam: ParallelBeam, volume: NDArray[Any], data: NDArray[Any], weights: NDArray[Any], background: int
) -> tuple[Floats, np.float64]:
    """Adjoint of the weighted residual, and the loss, a batch at a time; see `Projector.gradient`."""
    out, loss = np.zeros((*beam.volume_shape, *data.shape[3:]), np.float32), np.float64(0)
    for some, part in beam.batches():
        residual, more = weighted_residual(forward(part, volume), data[some], weights[some], background)
        _add_adjoint(part, residual, out)
        loss += more
    return out, loss


def _add_adjoint(beam: ParallelBeam, projections: NDArray[Any], out: Floats) -> None:
    single, channels = projections.ndim == 3, math.prod(projections.shape[3:])
    kernels = numba_cpu if single else numba_channels
    kernel = kernels.adjoint_threaded if beam.threads else kernels.adjoint_serial
    image = max(1, 4 * math.prod(projections.shape[1:3]) * min(channels, GROUP * CHANNELS))
    at_once = max(LANES, kernels.LAID_OUT // image // LANES * LANES)
    for first in range(0, len(beam), at_once):
        some = slice(first, first + at_once)
        batch = projections[some]
        landing = [_padded(along[:, some]) for along in beam.landing]
        for laid_out in _laid_out(batch):
            kernel(*laid_out, *landing, out)
            del laid_out


def _laid_out(images: NDArray[Any]) -> Iterable[tuple[Any, ...]]:
    """What the kernels read of images (n, a, b[, channel]): pairs, or each group and its first channel."""
    return [(pairs(images),)] if images.ndim == 3 else groups(images)


def _padded(landing: Floats) -> Floats:
    """Landing parameters with as many more as fit into lanes, far outside."""
    more = -landing.shape[1] % LANES
    padded = np.pad(np.ascontiguousarray(landing), ((0, 0), (0, more)))
    padded[0, landing.shape[1] :] = -1e9
    return padded
