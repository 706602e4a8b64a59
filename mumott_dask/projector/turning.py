"""What a small rotation of the sample does to its volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from mumott_dask import arrays, devices
from mumott_dask.images import differences

Volume = Any  #: float32, NumPy or on a device


def turned_volume(volume: Volume, axis: int, centre: float | None = None) -> Volume:
    """Derivative of a volume by a small rotation of the sample about one of its axes, (x, y, z).

    For R <- R exp([omega]x) it is ``-(r x grad V)``, r from the volume's centre; its projection is the
    derivative of the volume's projection.

    Parameters
    ----------
    volume : (x, y, z) array
    axis : int
        Of omega.
    centre : float, optional
        The plane along x that the centre lies in, where the volume is a part of another.
    """
    planes = volume.shape[0]
    centre = (planes - 1) / 2 if centre is None else centre
    field = devices.namespace(volume).empty_like(volume)
    for some in arrays.batches(volume):
        around = slice(max(some.start - 1, 0), min(some.stop + 1, planes))  # as far as differences reach
        inside = slice(some.start - around.start, some.stop - around.start)
        field[some, ...] = _turned(volume[around, ...], axis, centre - around.start)[inside, ...]
    return field


def _turned(volume: Volume, axis: int, centre: float) -> Volume:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    field = _slope_times_distance(volume, first, second, centre)
    field -= _slope_times_distance(volume, second, first, centre)
    return field


def _slope_times_distance(volume: Volume, along: int, distance: int, centre: float) -> Volume:
    """Difference of a volume along one axis, times the distance from its centre along another."""
    middle = centre if distance == 0 else (volume.shape[distance] - 1) / 2
    line = np.arange(volume.shape[distance], dtype=np.float32) - np.float32(middle)
    (slope,) = differences(volume, (along,))
    (line,) = devices.beside(volume, line.reshape([-1 if axis == distance else 1 for axis in range(3)]))
    slope *= line
    return slope
