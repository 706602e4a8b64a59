"""How a phantom of sub-voxels lies in the voxels of a volume: both have the same centre, no voxel is cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mumott_dask.errors import ScanError

Volume = NDArray[np.float32]

MARGIN = 1
"""Empty voxels around the phantom, at least."""


def enclosing_box(volume_shape: tuple[int, int, int], extent: list[float]) -> tuple[int, int, int]:
    """Smallest box (voxels) that holds a sample and whose voxels fall on those of the volume."""
    least = (int(np.ceil(length)) + 2 * MARGIN for length in extent)
    x, y, z = (m + (n - m) % 2 for m, n in zip(least, volume_shape, strict=True))
    return x, y, z


def largest_path(sample: Volume, oversampling: int, axis: int) -> float:
    """Largest sum along an axis of the volume, in absorbance, seen by whole pixels."""
    return float(_block_mean(sample, oversampling).sum(axis=axis).max())


def checked_phantom(phantom: ArrayLike, volume_shape: tuple[int, int, int], oversampling: int) -> Volume:
    """Check that a phantom's voxels fall on those of the volume."""
    sample = np.array(phantom, dtype=np.float32)
    if sample.ndim != 3 or any(
        n % oversampling or (n // oversampling - v) % 2
        for n, v in zip(sample.shape, volume_shape, strict=True)
    ):
        raise ScanError(
            f"simulate: phantom has shape {sample.shape}, expected {oversampling} (oversampling) times "
            f"{volume_shape}, or an even number of voxels more or less"
        )
    if not np.isfinite(sample).all():
        raise ScanError("simulate: phantom holds values that are not finite")
    return sample


def to_voxels(sample: Volume, volume_shape: tuple[int, int, int], oversampling: int) -> Volume:
    """Mean of the sub-voxels in each voxel of the volume, cropped or padded about the centre."""
    coarse = _block_mean(sample, oversampling)
    grow = [(v - n) // 2 for v, n in zip(volume_shape, coarse.shape, strict=True)]
    coarse = coarse[tuple(slice(max(-g, 0), n - max(-g, 0)) for g, n in zip(grow, coarse.shape, strict=True))]
    return np.pad(coarse, [(max(g, 0), max(g, 0)) for g in grow])


def _block_mean(sample: Volume, oversampling: int) -> Volume:
    blocks = [m for n in sample.shape for m in (n // oversampling, oversampling)]
    return np.asarray(sample.reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float64), dtype=np.float32)
