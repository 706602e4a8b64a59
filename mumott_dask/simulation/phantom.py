"""A phantom that looks like trabecular bone: walls and struts within a rounded core, or within a slab.

The walls are level sets of smooth random fields (band-passed Gaussian noise, stretched along the axis by an
amount that varies from place to place). The fields are made on the grid of voxels and interpolated to the
finer one, so that the same seed is the same bone at every oversampling.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Surface = Callable[[Volume, Volume, Volume], Volume]
"""Signed distance (voxels, roughly) from a surface, negative inside: a function of the distances across and
along the bone's axis and of a random field of unit variance."""

SPACING = 5.5
"""Distance between walls, voxels."""

WALL = 2.0
"""Thickness of the walls, voxels; struts are a quarter thicker."""

EDGE = 0.75
"""Half the width of the walls' soft edges, voxels."""

BANDWIDTH = 0.25
"""Relative width of the band of spatial frequencies."""

STRETCH = (1.0, 1.8)
"""Elongation along the axis, from the least to the most oriented part of the bone."""

CORE_RADIUS, CORE_HALF_HEIGHT = 0.9, 0.68
"""Radius and half height of the core, in radii of the sphere that holds it and rounds its rims."""

OUTLINE = 0.06
"""Irregularity of the core's outline (about RMS), in its radii."""


def trabecular_bone(
    size: tuple[int, int, int], surface: Surface, oversampling: int, axis: int, rng: np.random.Generator
) -> Volume:
    """Bone density (0 to about 1) on a grid of sub-voxels.

    Parameters
    ----------
    size : three int, voxels
        The box; its centre is the bone's.
    surface : callable
        Outer surface of the bone.
    oversampling : int
        Sub-voxels along the side of a voxel.
    axis : int
        Axis of the volume along which the bone is oriented and at whose ends it is cut.
    rng : numpy.random.Generator

    Returns
    -------
    (x, y, z) float32
        `oversampling` times `size`.
    """

    def field(wavelength: float, stretch: float = 1.0) -> Volume:
        return band_passed_noise(size, wavelength, stretch, axis, oversampling, rng)

    oriented = _fraction(field(4 * SPACING))
    thickness = WALL * (1 + 0.5 * (_fraction(field(3 * SPACING)) - 0.5))
    walls, across = (
        _distance(
            np.sqrt(1 - oriented) * field(2 * SPACING, STRETCH[0])
            + np.sqrt(oriented) * field(2 * SPACING, STRETCH[1])
        )
        / oversampling
        for _ in range(2)
    )
    struts = np.hypot(walls, across)
    holes = field(1.6 * SPACING)
    distance = np.maximum(np.abs(walls) - thickness / 2, (holes - 0.4) * SPACING / 4)
    distance = np.minimum(distance, struts - 0.625 * thickness)
    distance = np.maximum(distance, _outline(size, surface, oversampling, axis, field(3 * SPACING)))
    mineral = 1 + 0.05 * field(SPACING)
    return np.asarray(_soft_step(distance) * mineral, dtype=np.float32)


def band_passed_noise(
    size: tuple[int, int, int],
    wavelength: float,
    stretch: float,
    axis: int,
    oversampling: int,
    rng: np.random.Generator,
) -> Volume:
    """Gaussian noise of unit variance around one wavelength (voxels), elongated along an axis.

    Drawn on the grid of voxels and interpolated to the centres of the sub-voxels by its Fourier series.
    """
    squared: NDArray[np.float64] = np.zeros(())
    for a, n in enumerate(size):
        frequency = (np.fft.fftfreq if a < 2 else np.fft.rfftfreq)(n).reshape(np.roll([-1, 1, 1], a))
        squared = squared + (frequency * (stretch if a == axis else 1)) ** 2
    band = np.exp(-(((np.sqrt(squared) * wavelength - 1) / BANDWIDTH) ** 2) / 2)
    coarse = np.fft.irfftn(np.fft.rfftn(rng.standard_normal(size)) * band, size, axes=(0, 1, 2))
    x, y, z = (_fourier(n, oversampling) for n in size)
    fine = np.tensordot(x, np.matmul(y, np.matmul(coarse, z.T)), axes=1)
    return np.asarray(fine / fine.std(), dtype=np.float32)


def _fourier(size: int, oversampling: int) -> NDArray[np.float64]:
    """Fourier series through the values of `size` voxels as a matrix that gives its sub-voxels."""
    place = (np.arange(size * oversampling) + 0.5) / oversampling - 0.5
    turns = np.multiply.outer(np.fft.fftfreq(size), place[:, None] - np.arange(size))
    return np.asarray(np.cos(2 * np.pi * turns).mean(axis=0), dtype=np.float64)


def _fraction(field: Volume) -> Volume:
    """Squeeze a field of unit variance smoothly into 0 to 1."""
    return np.asarray(0.5 + 0.5 * np.tanh(field), dtype=np.float32)


def _distance(field: Volume | NDArray[np.float64]) -> Volume:
    """Distance from the zero level of a field to first order, sub-voxels (signed)."""
    slope = np.sqrt(np.square(np.gradient(field)).sum(axis=0))
    return np.asarray(field / np.maximum(slope, 0.5 * slope.mean()), dtype=np.float32)


def core_surface(radius: float) -> Surface:
    """Surface of a core within a sphere (radius in voxels), its outline irregular, its rims rounded."""

    def surface(across: Volume, along: Volume, outline: Volume) -> Volume:
        side = across - CORE_RADIUS * radius * (1 - OUTLINE + OUTLINE * np.clip(outline, -3, 1))
        ends = along - CORE_HALF_HEIGHT * radius
        sphere = np.hypot(across, along) - radius
        return np.asarray(np.maximum(np.maximum(side, ends), sphere), dtype=np.float32)

    return surface


def slab_surface(height: float, radius: float) -> Surface:
    """Surface of a round slab (voxels) with flat faces."""

    def surface(across: Volume, along: Volume, outline: Volume) -> Volume:
        return np.asarray(np.maximum(across - radius, along - height / 2), dtype=np.float32)

    return surface


def _outline(
    size: tuple[int, int, int], surface: Surface, oversampling: int, axis: int, outline: Volume
) -> Volume:
    """Signed distance from the bone's surface at the centres of the sub-voxels."""
    place = np.meshgrid(
        *((np.arange(n * oversampling) + 0.5) / oversampling - n / 2 for n in size),
        indexing="ij",
        sparse=True,
    )
    across = np.sqrt(sum(c**2 for a, c in enumerate(place) if a != axis))
    return surface(across, np.abs(place[axis]), outline)


def _soft_step(distance: Volume) -> Volume:
    """1 inside (negative), 0 outside, a smooth ramp between."""
    ramp = np.clip(0.5 - distance / (2 * EDGE), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), dtype=np.float32)
