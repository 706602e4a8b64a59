"""What a small rotation of the sample does to its volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from mumott_dask import devices
from mumott_dask.images import differences

Volume = Any  #: float32, NumPy or on a device


def torques(volume: Volume, centre: float | None = None) -> Volume:
    """``r x grad V`` with r from the volume's centre, (x, y, z, 3).

    For R <- R exp([omega]x), the derivative of a projection by omega is minus the projection of this field.

    Parameters
    ----------
    volume : (x, y, z) array
    centre : float, optional
        The plane along x that the centre lies in, where the volume is a part of another.
    """
    by_x, by_y, by_z = differences(volume, range(3))
    middle = [(n - 1) / 2 for n in volume.shape]
    if centre is not None:
        middle[0] = centre
    lines = (
        np.arange(n, dtype=np.float32) - np.float32(m) for n, m in zip(volume.shape, middle, strict=True)
    )
    x, y, z = devices.beside(volume, *np.meshgrid(*lines, indexing="ij", sparse=True))
    xp = devices.namespace(volume)
    field = xp.empty((*volume.shape, 3), dtype=xp.float32, device=devices.device_of(volume))
    field[..., 0] = y * by_z - z * by_y
    field[..., 1] = z * by_x - x * by_z
    field[..., 2] = x * by_y - y * by_x
    return field
