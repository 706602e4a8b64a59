"""A scan at one binning, as the loop works on it: geometry, measured images, mask and window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask.errors import ScanError
from mumott_dask.images import binned
from mumott_dask.projector import Projector

Floats = NDArray[np.float64]

_ROOM = 1.4  # sides of a volume with room for what the views cut, in sides of the scan's
_TAPER = 0.3  # share of the window's side that its two cosine edges take together


@dataclass(frozen=True)
class Level:
    """Measured images of a scan at one binning, and the projector that goes with them."""

    projector: Projector
    data: Any  #: (projection, j, k) float32, NumPy or Dask
    mask: Any  #: (projection, j, k): which pixels are valid, bool, or the share that is, float32
    window: NDArray[np.float32]  #: (j, k): what of the detector the offsets are found from
    binning: int
    detector_shape: tuple[int, int]  #: (j, k) before binning
    counting: bool  #: whether the data are absorbances of counted photons

    def with_room(self, beyond: tuple[bool, bool]) -> Level:
        """The level with a volume that has room beyond the view, along j and along k where asked for.

        Rays of a sample that the views cut pass through what a volume of the detector's size does not hold.
        """
        basis, sides = self.projector.basis, np.array(self.projector.volume_shape)
        for axes, wide in zip((basis.u, basis.w), beyond, strict=True):
            if wide:
                across = np.abs(axes).max(axis=0) > 0.5
                sides = np.where(across, np.maximum(sides, _room(self.projector.volume_shape)), sides)
        x, y, z = (int(n) for n in sides)
        return replace(self, projector=replace(self.projector, volume_shape=(x, y, z)))

    def with_offsets(self, j_offset: NDArray[np.float64], k_offset: NDArray[np.float64]) -> Level:
        """The level at offsets given in unbinned pixels.

        Binning divides lengths by n; that the far end was padded to whole bins raises the offsets by half of
        the padding.
        """
        offsets = (
            offset / self.binning + (binned - side / self.binning) / 2
            for offset, side, binned in zip(
                (j_offset, k_offset), self.detector_shape, self.projector.detector_shape, strict=True
            )
        )
        return replace(self, projector=self.projector.with_offsets(*offsets))

    def binned(self, n: int) -> Level:
        """The level binned by n x n pixels, masked pixels left out of the means."""
        if n == 1:
            return self
        data, mask = arrays.in_batches(lambda data, mask: _binned(data, mask, n), self.data, self.mask)
        x, y, z = (-(-side // n) for side in self.projector.volume_shape)
        projector = replace(self.projector, volume_shape=(x, y, z), detector_shape=tuple(data.shape[1:]))
        data, mask = arrays.keep_images(data, mask)
        window = binned(self.window[None, ...], n)[0, ...]
        return replace(
            self, projector=projector, data=data, mask=mask, window=window, binning=n * self.binning
        )


def trusting(weights: Any, trust: Floats) -> Any:
    """Weights of pixels (projection, j, k) times what each projection deserves, (projection,), 0 to 1."""
    if np.all(trust == 1):
        return weights
    return arrays.keep_images(arrays.scaled(weights, trust))[0]


def whole_level(
    projector: Projector, data: Any, mask: Any, region: tuple[slice, slice], counting: bool
) -> Level:
    """The level without binning; `region` of the detector (j, k) is what the offsets are found from."""
    (window,) = devices.beside(data, tapered_window(projector.detector_shape, region))
    return Level(projector, data, mask, window, 1, projector.detector_shape, counting)


def _room(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Sides of a volume with room around, its centre where it was."""
    sides = np.array(shape)
    return sides + 2 * np.ceil(sides * (_ROOM - 1) / 2).astype(int)


def tapered_window(detector_shape: tuple[int, int], region: tuple[slice, slice]) -> NDArray[np.float32]:
    """Tukey window over a region of the detector, zero outside."""
    sides = [range(side)[part] for side, part in zip(detector_shape, region, strict=True)]
    if min(map(len, sides)) < 4:
        raise ScanError(
            f"window {region} leaves {len(sides[0])} x {len(sides[1])} pixels, expected at least 4 x 4"
        )
    window = np.zeros(detector_shape, np.float32)
    window[np.ix_(*sides)] = np.outer(*(_tapered(len(side)) for side in sides))
    return window


def _binned(data: Any, mask: Any, n: int) -> tuple[Any, Any]:
    """Means over the valid pixels of each bin, and the share of them."""
    xp = devices.namespace(data)
    mask = xp.astype(mask, xp.float32)
    share = binned(mask, n)
    return binned(data * mask, n) / xp.maximum(share, 1e-6), share


def _tapered(side: int) -> Floats:
    """Values of a Tukey window over a side, without its zeros at either end."""
    place = np.arange(1, side + 1)
    from_end = np.minimum(place, side + 1 - place) / (_TAPER * (side + 1) / 2)
    return np.where(from_end < 1, (1 - np.cos(np.pi * from_end)) / 2, 1.0)


def resampled(
    tomogram: NDArray[np.float32], shape: tuple[int, int, int], binning: float
) -> NDArray[np.float32]:
    """A tomogram on voxels `binning` times as large, about the same centre, by linear interpolation.

    Parameters
    ----------
    tomogram : (x, y, z) array, absorbance per voxel
    shape : (x, y, z)
        Of the result.
    binning : float
        Side of the new voxels in old ones; absorbance per voxel grows with it.
    """
    if binning == 1 and tomogram.shape == shape:
        return tomogram
    centre, new_centre = (np.array(tomogram.shape) - 1) / 2, (np.array(shape) - 1) / 2
    (scale,) = devices.beside(tomogram, np.full(3, float(binning)))
    sampled = devices.filters(tomogram).affine_transform(
        tomogram, scale, offset=tuple(centre - binning * new_centre), output_shape=shape, order=1
    )
    return sampled * float(binning)


def moved(tomogram: NDArray[np.float32], d: NDArray[np.float64]) -> NDArray[np.float32]:
    """A tomogram whose content is moved by `d` (x, y, z) voxels, by linear interpolation."""
    return tomogram if not np.any(d) else devices.filters(tomogram).shift(tomogram, tuple(d), order=1)


def centre_of_mass(tomogram: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centre of mass of a tomogram, (x, y, z), voxels from the centre of the volume.

    Voxels under a tenth of the largest are left out: the noise of the air would draw it to the centre.
    """
    xp = devices.namespace(tomogram)
    tomogram = xp.where(tomogram >= 0.1 * xp.max(tomogram), tomogram, 0.0)
    across = (tuple({0, 1, 2} - {axis}) for axis in range(3))
    lines = xp.concat([xp.sum(tomogram, axis=axes, dtype=xp.float64) for axes in across])
    *lines, _ = np.split(devices.numbers(lines), np.cumsum(tomogram.shape))
    total = lines[0].sum()
    if not total > 0:
        return np.zeros(3)
    return np.array([line @ (np.arange(len(line)) - (len(line) - 1) / 2) / total for line in lines])
