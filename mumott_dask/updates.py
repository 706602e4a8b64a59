"""MITRA's update of a volume, in as few passes over it as its kind of array allows (floor 1)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array

from . import devices

Volume = Any  #: (x, y, z[, channel]) float32


def accelerated_step(
    ahead: Volume,
    momentum: Volume,
    gradient: Volume,
    preconditioner: Volume,
    nesterov_weight: float,
    nonnegative: bool,
) -> tuple[Volume, Volume]:
    """Where the next gradient is to be taken, and momentum, whose sum is the tomogram.

    The first three arrays may be overwritten.

    Parameters
    ----------
    ahead : array
        Where the gradient was taken.
    momentum, gradient, preconditioner : array
        In the host's memory or, any of them, on a device.
    nesterov_weight : float
        Share of the momentum that goes on.
    nonnegative : bool
        Whether the tomogram is kept from going below zero.
    """
    ahead, momentum, gradient, preconditioner = devices.together(ahead, momentum, gradient, preconditioner)
    if devices.on_host(gradient):
        gradient *= preconditioner
        momentum += gradient
        tomogram = np.subtract(ahead, gradient, out=ahead)
        if nonnegative:
            np.maximum(tomogram, 0, out=tomogram)
        momentum *= np.float32(nesterov_weight)
        return np.subtract(tomogram, momentum, out=tomogram), momentum
    if is_cupy_array(gradient):
        least = 0.0 if nonnegative else -np.inf
        return _in_one_kernel()(gradient, preconditioner, nesterov_weight, least, ahead, momentum)
    step = gradient * preconditioner
    tomogram = ahead - step
    if nonnegative:
        tomogram = devices.namespace(step).maximum(tomogram, 0.0)
    momentum = (momentum + step) * nesterov_weight
    return tomogram - momentum, momentum


@cache
def _in_one_kernel() -> Any:
    """Called with what it reads, then with two arrays that it reads and writes."""
    import cupy

    return cupy.ElementwiseKernel(
        "float32 gradient, float32 preconditioner, float32 share, float32 least",
        "float32 ahead, float32 momentum",
        """
        const float step = gradient * preconditioner;
        momentum = (momentum + step) * share;
        ahead = max(ahead - step, least) - momentum;
        """,
        "mumott_dask_accelerated_step",
    )
