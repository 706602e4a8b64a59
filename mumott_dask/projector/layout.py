"""Volumes and projections laid out so that one load fetches what a sample needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


CHANNELS = 4
"""Channels that lie side by side."""


def blocks(images: NDArray[Any]) -> Floats:
    """Images (n, a, b, channel) as (block, n + 1, a + 3, b + 3, 4) in a border of zeros.

    The border is one pixel before and two after, and a whole image after the last.
    """
    count, side_a, side_b, channels = images.shape
    number = -(-channels // CHANNELS)
    laid_out = np.zeros((number, count + 1, side_a + 3, side_b + 3, CHANNELS), np.float32)
    for block in range(number):
        part = images[..., block * CHANNELS : (block + 1) * CHANNELS]
        laid_out[block, :-1, 1:-2, 1:-2, : part.shape[-1]] = part
    return laid_out
