"""Volumes and projections laid out so that one load fetches what a sample needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .beam import ParallelBeam
from .lanes import LANES

Floats = NDArray[np.float32]


def pairs(images: NDArray[Any]) -> Floats:
    """Images (n, a, b) as (n, a + 2, b + 3, 2): each pixel beside the next along a, in a border of zeros.

    Bilinear interpolation needs four neighbours; here they are four numbers in a row. The border is one
    pixel before and two after: a position moved into it reads zeros.
    """
    count, side_a, side_b = images.shape
    laid_out = np.zeros((count, side_a + 2, side_b + 3, 2), np.float32)
    laid_out[:, 1:-1, 1:-2, 0] = images
    laid_out[:, :-2, 1:-2, 1] = images
    return laid_out


CHANNELS, FEW = 8, 4
"""Channels that are worked on side by side; where there are no more than a few, so many."""

GROUP = 4
"""Times eight channels that lie together: a sample's corners are a few lines of memory then."""


def groups(images: NDArray[Any]) -> Iterator[tuple[Floats, int]]:
    """Some channels at a time of images (n, a, b, channel): (n + 1, a + 3, b + 3, width), with zeros around.

    With the number of the first of these. The width is 4, or a multiple of 8 up to 32. A pixel of zeros comes
    before and two after, and a whole image after the last.
    """
    count, side_a, side_b, channels = images.shape
    width = CHANNELS if channels > FEW else FEW
    for first in range(0, channels, GROUP * CHANNELS):
        part = images[..., first : first + GROUP * CHANNELS]
        padded = -(-part.shape[-1] // width) * width
        laid_out = np.zeros((count + 1, side_a + 3, side_b + 3, padded), np.float32)
        laid_out[:-1, 1:-2, 1:-2, : part.shape[-1]] = part
        yield laid_out, first
        del laid_out  # before the next is made


def slabs(
    beam: ParallelBeam, volume: NDArray[Any], size: int, wanted: NDArray[np.bool_] | None = None
) -> Iterator[tuple[Any, ...]]:
    """Slices of a volume (x, y, z[, channel]) across the dominant axis, so many as take about `size` bytes.

    For the projections that are wanted, (projection,); all by default.

    Yields
    ------
    slices : (slice, a, b[, channel]) array
    begin : int
        Number of the first of them.
    numbers : (projection,) int
        Which projections have this dominant axis.
    first, second : (projection, 4) float32
        `RayParameters` of all projections, slices counted from the first of these.
    step : (projection,) float32
    """
    axes, first, second, step = beam.rays
    mains = axes[:, 0] if wanted is None else np.where(wanted, axes[:, 0], -1)
    for main in np.unique(mains[mains >= 0]):
        numbers = np.flatnonzero(mains == main)
        slices = volume.transpose(*axes[numbers[0]], *range(3, volume.ndim))
        thick = max(1, size // max(1, 4 * slices[0].size) // LANES) * LANES
        for begin in range(0, len(slices), thick):
            rays = (_from_slice(along, begin) for along in (first, second))
            yield slices[begin : begin + thick], begin, numbers, *rays, step


def _from_slice(along: Floats, begin: int) -> Floats:
    start = along[:, :1] + np.float64(begin) * along[:, 3:]
    return np.concatenate([start.astype(np.float32), along[:, 1:]], axis=1)
