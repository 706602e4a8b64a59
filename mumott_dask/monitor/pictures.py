"""What is shown of an alignment's images: few bytes each, made where the tomogram is.

One row of the detector and a few projections are reprojected by a projector of just these rays, so that a
picture costs a small part of one forward projection.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask.alignment.level import Level
from mumott_dask.plot.style import colour_limits
from mumott_dask.projector import Projector

Floats = NDArray[np.float32]

_LEVELS = 255


class Picture(NamedTuple):
    """Values between two limits, in 256 steps."""

    steps: NDArray[np.uint8]
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats, low: float, high: float) -> Self:
        """Values as a picture; what lies beyond the limits is at them."""
        scaled = (values - np.float32(low)) * np.float32(_LEVELS / max(high - low, 1e-30))
        return cls(np.clip(np.rint(scaled), 0, _LEVELS).astype(np.uint8), low, high)

    @property
    def values(self) -> Floats:
        """Values again, float32."""
        step = (self.high - self.low) / _LEVELS
        return np.asarray(self.low + self.steps * np.float32(step), np.float32)


class Compared(NamedTuple):
    """An image as it was measured, and what is left of it when the reprojected one is taken away."""

    measured: Picture
    difference: Picture

    @classmethod
    def of(cls, measured: Floats, reprojected: Floats, mask: NDArray[Any]) -> Self:
        """Both from two images; masked pixels have no difference."""
        difference = np.where(mask > 0, measured - reprojected, 0).astype(np.float32)
        most = max(float(np.percentile(np.abs(difference), 99.5)), 1e-6)
        return cls(Picture.of(measured, *colour_limits([measured])), Picture.of(difference, -most, most))

    @property
    def reprojected(self) -> Floats:
        """The image as it was reprojected, float32."""
        return np.asarray(self.measured.values - self.difference.values, np.float32)


def volume_picture(tomogram: Any, most_bytes: int) -> Picture:
    """A tomogram (x, y, z) on no more voxels than asked for."""
    volume = _smaller(devices.to_host(tomogram), most_bytes)
    return Picture.of(volume, *colour_limits([volume]))


class Sinograms:
    """One row of the detector, across the rotation axis, by projection: measured, and as it is reprojected.

    What was measured is fetched once for each binning.
    """

    def __init__(self, most_bytes: int):
        self._most = most_bytes
        self._binning = 0
        self._rows: tuple[Floats, Floats] | None = None

    def of(self, level: Level, tomogram: Any) -> Compared:
        """Both for the offsets that the level is at; projections and pixels are thinned out to fit."""
        projector = level.projector
        across_j = _turns_over_j(projector)
        side = projector.detector_shape[0 if across_j else 1]
        pixels = min(side, int(math.sqrt(self._most)))
        some = _spread(len(projector), self._most // pixels)
        row = projector.detector_shape[1 if across_j else 0] // 2
        if self._rows is None or level.binning != self._binning:
            at = (some, slice(None), row) if across_j else (some, row, slice(None))
            self._binning, self._rows = level.binning, _fetched(level.data[at], level.mask[at])
        rays = _row_alone(_here(projector[some], tomogram), row, across_j)
        reprojected = devices.to_host(rays.forward(tomogram))
        columns = _spread(side, pixels)
        measured, mask = self._rows
        return Compared.of(
            measured[:, columns], reprojected.reshape(measured.shape)[:, columns], mask[:, columns]
        )


def projection_picture(level: Level, tomogram: Any, number: int, most_bytes: int) -> Compared:
    """A projection by number, from 0, and what is left of it when the reprojected one is taken away."""
    measured, mask = _fetched(level.data[number], level.mask[number])
    rays = _here(level.projector[number : number + 1], tomogram)
    reprojected = devices.to_host(rays.forward(tomogram))[0]
    return Compared.of(*(_smaller(each, most_bytes) for each in (measured, reprojected, mask)))


def _fetched(images: Any, mask: Any) -> tuple[Floats, Floats]:
    images, mask = arrays.materialise(images, mask)
    return devices.to_host(images), devices.to_host(mask).astype(np.float32)


def _here(projector: Projector, tomogram: Any) -> Projector:
    """The projector for a tomogram in this process, on its device if it lives on one.

    It works on one thread: to start others takes longer than these few rays.
    """
    return replace(projector, slabs=1, threads=False, gpu=devices.on_device(tomogram))


def _row_alone(projector: Projector, row: int, across_j: bool) -> Projector:
    """The projector of one row of the detector, (1, pixel): its middle is where the row's is.

    Kernels work along k, on several rays at a time: a row along j is seen by a detector on its side.
    """
    if across_j:
        projector = replace(
            projector,
            j_direction_0=projector.k_direction_0,
            k_direction_0=projector.j_direction_0,
            j_offset=projector.k_offset,
            k_offset=projector.j_offset,
            detector_shape=projector.detector_shape[::-1],
        )
    rows, pixels = projector.detector_shape
    away = row + 0.5 - rows / 2
    return replace(projector, detector_shape=(1, pixels), j_offset=projector.j_offset + away)


def _turns_over_j(projector: Projector) -> bool:
    """Whether the detector's axis j lies across the axis of rotation: it sees the sample from more sides."""
    u, w = (axes.std(axis=0).sum() for axes in (projector.basis.u, projector.basis.w))
    return bool(u >= w)


def _smaller(array: NDArray[Any], most: int) -> Floats:
    """Means over whole blocks, then every so-manieth, so that no more than `most` values are left."""
    block = min(int(_excess(array, most)), *array.shape)
    if block > 1:
        whole = array[tuple(slice(side // block * block) for side in array.shape)]
        blocks = [n for side in whole.shape for n in (side // block, block)]
        array = whole.reshape(blocks).mean(axis=tuple(range(1, 2 * array.ndim, 2)), dtype=np.float32)
    kept = (_spread(side, max(1, int(side / _excess(array, most)))) for side in array.shape)
    return array[np.ix_(*kept)].astype(np.float32)


def _excess(array: NDArray[Any], most: int) -> float:
    """How much too long an array's sides are, 1 where they are not."""
    return max(1.0, (array.size / most) ** (1 / array.ndim))


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Numbers from 0 to `count`, evenly spread, no more than `most`."""
    return np.arange(count) if count <= most else ((np.arange(most) + 0.5) * count / most).astype(np.int64)
