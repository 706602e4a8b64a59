"""What a small rotation of the sample does to its volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def torques(volume: Floats, centre: float | None = None) -> Floats:
    """``r x grad V`` with r from the volume's centre, (x, y, z, 3).

    For R <- R exp([omega]x), the derivative of a projection by omega is minus the projection of this field.

    Parameters
    ----------
    volume : (x, y, z) array
    centre : float, optional
        The plane along x that the centre lies in, where the volume is a part of another.
    """
    slope = np.gradient(volume)
    middle = [(n - 1) / 2 for n in volume.shape]
    if centre is not None:
        middle[0] = centre
    x, y, z = np.meshgrid(
        *(np.arange(n, dtype=np.float32) - np.float32(m) for n, m in zip(volume.shape, middle, strict=True)),
        indexing="ij",
        sparse=True,
    )
    field = np.empty((*volume.shape, 3), np.float32)
    field[..., 0] = y * slope[2] - z * slope[1]
    field[..., 1] = z * slope[0] - x * slope[2]
    field[..., 2] = x * slope[1] - y * slope[0]
    return field
