"""A whole simulated scan: phantom, stage, forward model and noise put together, the truth beside them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask.errors import ScanError
from mumott_dask.geometry import basis, default_volume_shape, rotations_from_angles
from mumott_dask.scan import make_scan
from mumott_dask.scan.schema import DIRECTIONS, INNER_AXIS, TOMOGRAM_DIMS

from . import stage
from .forward import sampled, transmission
from .phantom import trabecular_bone
from .voxels import checked_phantom, enclosing_box, largest_path, to_voxels

Floats = NDArray[np.float64]

SMALLEST = 6
"""Least diameter of a bone, voxels: below, there may be no wall in it."""


def simulate(
    shape: tuple[int, int] = (65, 55),
    tilts: int = 6,
    rotations: int = 41,
    photons: float | None = 40_000,
    *,
    jitter: float = 1.0,
    jumps: float = 4.0,
    drift: float = 1.0,
    flux_drift: float = 0.02,
    extent: float = 0.75,
    absorbance: float = 0.8,
    largest_tilt: float = np.pi / 4,
    inner_axis: ArrayLike = INNER_AXIS,
    outer_axis: ArrayLike | None = None,
    pixel_size: float | None = None,
    phantom: ArrayLike | None = None,
    oversampling: int = 2,
    seed: int = 0,
) -> xr.Dataset:
    """Simulate a transmission scan of a piece of bone, with known truth.

    The scan's own offsets are zero, as those of a scan that nobody has aligned; the true ones stand beside
    them. A seed gives the same bone, offsets and flux whatever the noise and the oversampling.

    Parameters
    ----------
    shape : (J, K)
        Pixels of a projection.
    tilts, rotations : int
        Number of tilts (evenly from 0 to `largest_tilt`) and of rotations at each (over half a circle without
        tilt, over the whole circle with one).
    photons : float, optional
        Photons per open pixel; None for no noise.
    jitter : float, pixels
        RMS of the offsets that are random in each projection, in j and in k.
    jumps : float, pixels
        Size of the jumps of the offsets between tilts.
    drift : float, pixels
        RMS of the slow drift of the offsets within a tilt, in j and in k.
    flux_drift : float
        RMS of the slow drift of the flux over the scan, relative.
    extent : float
        Diameter of the bone relative to the smaller side of the detector. The default keeps it within view
        at the default offsets; above 1 it is truncated.
    absorbance : float
        Largest absorbance (log10) along the volume's axes.
    largest_tilt : float, radians
    inner_axis, outer_axis : (3,) float
        Axes of rotation and of tilt. The outer axis is by default the detector's axis across the inner one.
    pixel_size : float, micrometre, optional
    phantom : (x, y, z) float, optional
        A sample to take instead of the bone: absorbance per voxel at the centres of sub-voxels
        (`oversampling` of them along a voxel's side), its centre on the volume's. `extent` and `absorbance`
        don't apply to it.
    oversampling : int
        Sub-voxels along a voxel's side, and sub-pixels along a pixel's. Time and memory grow with its cube.
    seed : int

    Returns
    -------
    xarray.Dataset
        A scan with the variables ``diode``, ``weights`` and ``tomogram_true``, and the coordinates
        ``j_offset_true`` and ``k_offset_true`` (pixels).

    Raises
    ------
    ScanError
        When an argument is out of its range.

    Examples
    --------
    >>> scan = simulate(shape=(24, 20), tilts=1, rotations=5)
    >>> dict(scan["diode"].sizes)
    {'projection': 5, 'j': 24, 'k': 20}
    """
    _check_counts(shape=shape, tilts=tilts, rotations=rotations, oversampling=oversampling)
    _check_positive(photons=1 if photons is None else photons, extent=extent, absorbance=absorbance)
    _check_not_negative(jitter=jitter, jumps=jumps, drift=drift, flux_drift=flux_drift, seed=seed)
    bone_noise, offset_noise, flux_noise, photon_noise = (np.random.default_rng([seed, n]) for n in range(4))

    p_direction_0, j_direction_0, k_direction_0 = (DIRECTIONS[f"{axis}_direction_0"] for axis in "pjk")
    inner = np.asarray(inner_axis, dtype=np.float64)
    outer = _across(inner) if outer_axis is None else np.asarray(outer_axis, dtype=np.float64)
    angles = stage.angles(tilts, rotations, largest_tilt)
    rotation = rotations_from_angles(angles.inner, angles.outer, inner, outer)
    volume_shape = default_volume_shape(shape, inner, j_direction_0, k_direction_0)

    if phantom is None:
        radius = extent * min(shape) / 2
        if 2 * radius < SMALLEST:
            raise ScanError(
                f"simulate: the bone would be {2 * radius:.3g} pixels across, expected at least {SMALLEST}: "
                f"give a larger shape or extent than {tuple(shape)} and {extent}"
            )
        box = enclosing_box(volume_shape, radius)
        sample = trabecular_bone(box, radius, oversampling, int(np.argmax(np.abs(inner))), bone_noise)
        sample *= absorbance / largest_path(sample, oversampling)
    else:
        sample = checked_phantom(phantom, volume_shape, oversampling)

    j_offset, k_offset = stage.offsets(angles.tilt, jitter, jumps, drift, offset_noise)
    axes = basis(rotation, p_direction_0, j_direction_0, k_direction_0)
    transmitted = transmission(sampled(sample, oversampling), axes, j_offset, k_offset, shape)
    flux = np.maximum(1 + flux_drift * stage.slow_drift(len(rotation), flux_noise), 0)
    expected = flux[:, None, None] * transmitted

    scan = make_scan(
        expected if photons is None else photon_noise.poisson(photons * expected),
        angles.inner,
        tilts=angles.outer,
        inner_axis=inner,
        outer_axis=outer,
        pixel_size=pixel_size,
        volume_shape=volume_shape,
    )
    truth = to_voxels(sample, volume_shape, oversampling)
    scan["tomogram_true"] = TOMOGRAM_DIMS, truth, {"units": "absorbance per voxel"}
    scan.attrs["source"] = (
        f"simulate(shape={tuple(shape)}, tilts={tilts}, rotations={rotations}, photons={photons}, "
        f"jitter={jitter}, jumps={jumps}, drift={drift}, seed={seed})"
    )
    return scan.assign_coords(
        j_offset_true=("projection", j_offset, {"units": "pixel"}),
        k_offset_true=("projection", k_offset, {"units": "pixel"}),
    )


def _across(inner_axis: Floats) -> Floats:
    """Return the detector's axis that lies across a rotation axis."""
    j, k = np.array(DIRECTIONS["j_direction_0"]), np.array(DIRECTIONS["k_direction_0"])
    return k if abs(inner_axis @ j) > abs(inner_axis @ k) else j


def _check_counts(*, shape: tuple[int, int], **counts: int) -> None:
    if np.shape(shape) != (2,) or any(n != int(n) or n < 1 for n in shape):
        raise ScanError(f"simulate: shape is {shape}, expected two positive numbers of pixels (J, K)")
    for name, count in counts.items():
        if count != int(count) or count < 1:
            raise ScanError(f"simulate: {name} is {count}, expected a positive whole number")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ScanError(f"simulate: {name} is {value}, expected a positive number")


def _check_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value >= 0):
            raise ScanError(f"simulate: {name} is {value}, expected 0 or a positive number")
