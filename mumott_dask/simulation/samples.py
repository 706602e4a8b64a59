"""What is scanned: a core or a slab of bone, or a phantom of the user's own, scaled as asked."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mumott_dask.errors import ScanError

from .phantom import core_surface, slab_surface, trabecular_bone
from .views import Views
from .voxels import enclosing_box, largest_path

Volume = NDArray[np.float32]

SMALLEST = 6
"""Least diameter of a bone, and least thickness of a slab, voxels: below, there may be no wall in it."""

SLAB_MARGIN = 2.0
"""How far a slab extends beyond what the views hold, voxels."""

SLAB_LIMIT = 3.0
"""Largest radius of a slab relative to the larger side of the detector: beyond, it is seen edge-on."""


class Grid(NamedTuple):
    """Pixels of the detector, voxels of the volume, sub-voxels along a voxel, the sample's axis in it."""

    shape: tuple[int, int]
    volume_shape: tuple[int, int, int]
    oversampling: int
    axis: int


def bone_core(grid: Grid, extent: float, absorbance: float, rng: np.random.Generator) -> Volume:
    """A rounded core of bone with its largest absorbance along the volume's axes; see `simulate`."""
    radius = extent * min(grid.shape) / 2
    if 2 * radius < SMALLEST:
        raise ScanError(
            f"simulate: the bone would be {2 * radius:.3g} pixels across, expected at least {SMALLEST}: "
            f"give a larger shape or extent than {tuple(grid.shape)} and {extent}"
        )
    box = enclosing_box(grid.volume_shape, [2 * radius] * 3)
    sample = trabecular_bone(box, core_surface(radius), grid.oversampling, grid.axis, rng)
    sample *= absorbance / max(largest_path(sample, grid.oversampling, a) for a in range(3))
    return sample


def bone_slab(
    grid: Grid, thickness: float, absorbance: float, seen: Views, rng: np.random.Generator
) -> Volume:
    """A slab of bone across its axis, wider than all nominal views; see `simulate`."""
    height = thickness * min(grid.shape)
    if height < SMALLEST:
        raise ScanError(
            f"simulate: the slab would be {height:.3g} pixels thick, expected at least {SMALLEST}: "
            f"give a larger shape or thickness than {tuple(grid.shape)} and {thickness}"
        )
    radius = seen_radius(grid, height, seen) + SLAB_MARGIN
    if not radius < SLAB_LIMIT * max(grid.shape):
        raise ScanError(
            "simulate: the slab is seen nearly edge-on, expected tilts of at least 30 degrees: "
            "give tilt_angles, in radians"
        )
    box = enclosing_box(grid.volume_shape, [height if a == grid.axis else 2 * radius for a in range(3)])
    sample = trabecular_bone(box, slab_surface(height, radius), grid.oversampling, grid.axis, rng)
    sample *= absorbance / largest_path(sample, grid.oversampling, grid.axis)
    return sample


def seen_radius(grid: Grid, height: float, seen: Views) -> float:
    """Largest distance from the slab's axis at which a ray of any nominal view crosses the slab, voxels."""
    axes, largest = seen.meant, 0.0
    across = [a for a in range(3) if a != grid.axis]
    half_j, half_k = grid.shape[0] / 2, grid.shape[1] / 2
    for j, k, face in product((-half_j, half_j), (-half_k, half_k), (-height / 2, height / 2)):
        start = (j + seen.j_offset)[:, None] * axes.u + (k + seen.k_offset)[:, None] * axes.w
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = (face - start[:, grid.axis]) / axes.p[:, grid.axis]
            place = start + steps[:, None] * axes.p
        largest = max(largest, float(np.nan_to_num(np.hypot(*place[:, across].T), nan=np.inf).max()))
    return largest
