"""A whole simulated scan: phantom, stage, forward model and noise put together, the truth beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask.errors import ScanError
from mumott_dask.geometry import basis, default_volume_shape, rotations_from_angles

from . import stage
from .forward import sampled, transmission
from .phantom import trabecular_bone

Volume = NDArray[np.float32]
Floats = NDArray[np.float64]

DIRECTIONS = {
    "p_direction_0": (0.0, 1.0, 0.0),
    "j_direction_0": (1.0, 0.0, 0.0),
    "k_direction_0": (0.0, 0.0, 1.0),
}
"""Ray direction and detector axes in the laboratory, mumott's defaults."""

DETECTOR = {"detector_direction_origin": (1.0, 0.0, 0.0), "detector_direction_positive_90": (0.0, 0.0, 1.0)}
"""Directions of the detector's segments at 0 and 90 degrees, mumott's defaults."""

BOX_MARGIN = 1
"""Empty voxels around the phantom, at least."""


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
    inner_axis: ArrayLike = (0.0, 0.0, -1.0),
    outer_axis: ArrayLike | None = None,
    pixel_size: float | None = None,
    phantom: ArrayLike | None = None,
    oversampling: int = 2,
    order: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Simulate a transmission scan of a piece of bone, with known truth.

    The scan's own offsets are zero, as those of a scan that nobody has aligned; the true ones stand beside
    them.
    The same seed gives the same bone, offsets and flux whatever the noise and the oversampling.

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
        Sub-voxels along a voxel's side, and sub-pixels along a pixel's.
    order : int
        Order of the spline that interpolates the sub-voxels: 1 or 3 (several times slower).
    seed : int

    Returns
    -------
    xarray.Dataset
        A scan with variables ``diode``, ``weights`` and ``tomogram_true``, and coordinates ``j_offset_true``
        and ``k_offset_true`` (pixels).

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
    _check(shape, tilts, rotations, photons, oversampling, order, extent)
    bone_noise, offset_noise, flux_noise, photon_noise = (np.random.default_rng([seed, n]) for n in range(4))
    inner = np.asarray(inner_axis, dtype=np.float64)
    outer = _across(inner) if outer_axis is None else np.asarray(outer_axis, dtype=np.float64)
    volume_shape = default_volume_shape(
        shape, inner, DIRECTIONS["j_direction_0"], DIRECTIONS["k_direction_0"]
    )
    angles = stage.angles(tilts, rotations, largest_tilt)
    rotation = rotations_from_angles(angles.inner, angles.outer, inner, outer)
    j_offset, k_offset = stage.offsets(angles.tilt, jitter, jumps, drift, offset_noise)
    if phantom is None:
        radius = extent * min(shape) / 2
        box = _box(volume_shape, radius)
        sample = trabecular_bone(box, radius, oversampling, int(np.argmax(np.abs(inner))), bone_noise)
        sample *= absorbance / _largest_path(sample, oversampling)
    else:
        sample = _user_phantom(phantom, volume_shape, oversampling)
    axes = basis(rotation, **DIRECTIONS)
    transmitted = transmission(sampled(sample, oversampling, order), axes, j_offset, k_offset, shape)
    flux = 1 + flux_drift * stage.slow_drift(len(rotation), flux_noise)
    expected = np.maximum(flux, 0)[:, None, None] * transmitted
    diode = expected if photons is None else photon_noise.poisson(photons * expected)
    unit = np.array([inner / np.linalg.norm(inner), outer / np.linalg.norm(outer)])
    zeros = np.zeros(len(rotation))
    attrs: dict[str, Any] = {
        "volume_shape": list(volume_shape),
        **{name: list(direction) for name, direction in (DIRECTIONS | DETECTOR).items()},
        "two_theta": 0.0,
        "schema_version": 1,
        "source": f"simulate(shape={tuple(shape)}, tilts={tilts}, rotations={rotations}, photons={photons}, "
        f"jitter={jitter}, jumps={jumps}, drift={drift}, seed={seed})",
    }
    if pixel_size is not None:
        attrs["pixel_size"] = float(pixel_size)
    return xr.Dataset(
        {
            "diode": (("projection", "j", "k"), diode.astype(np.float32), {"kind": "transmission"}),
            "weights": (("projection", "j", "k"), np.ones(diode.shape, dtype=np.float32)),
            "tomogram_true": (
                ("x", "y", "z"),
                _to_voxels(sample, volume_shape, oversampling),
                {"units": "absorbance per voxel"},
            ),
        },
        coords={
            "projection": np.arange(len(rotation)),
            "rotation": (("projection", "row", "col"), rotation),
            "j_offset": ("projection", zeros),
            "k_offset": ("projection", zeros.copy()),
            "inner_angle": ("projection", angles.inner),
            "outer_angle": ("projection", angles.outer),
            "inner_axis": (("projection", "xyz"), np.tile(unit[0], (len(rotation), 1))),
            "outer_axis": (("projection", "xyz"), np.tile(unit[1], (len(rotation), 1))),
            "j_offset_true": ("projection", j_offset, {"units": "pixel"}),
            "k_offset_true": ("projection", k_offset, {"units": "pixel"}),
        },
        attrs=attrs,
    )


def _check(
    shape: tuple[int, int],
    tilts: int,
    rotations: int,
    photons: float | None,
    oversampling: int,
    order: int,
    extent: float,
) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise ScanError(f"simulate: shape is {tuple(shape)}, expected two positive numbers of pixels (J, K)")
    for name, number in {"tilts": tilts, "rotations": rotations, "oversampling": oversampling}.items():
        if number != int(number) or number < 1:
            raise ScanError(f"simulate: {name} is {number}, expected a positive whole number")
    if photons is not None and not photons > 0:
        raise ScanError(f"simulate: photons is {photons}, expected a positive number, or None for no noise")
    if not extent > 0:
        raise ScanError(f"simulate: extent is {extent}, expected a positive number")
    if order not in (1, 3):
        raise ScanError(f"simulate: order is {order}, expected 1 or 3")


def _across(inner_axis: Floats) -> Floats:
    """Return the detector's axis that lies across a rotation axis."""
    j, k = np.array(DIRECTIONS["j_direction_0"]), np.array(DIRECTIONS["k_direction_0"])
    return k if abs(inner_axis @ j) > abs(inner_axis @ k) else j


def _box(volume_shape: tuple[int, int, int], radius: float) -> tuple[int, int, int]:
    """Smallest box (voxels) that holds a sphere and whose voxels fall on those of the volume."""
    least = int(np.ceil(2 * radius)) + 2 * BOX_MARGIN
    x, y, z = (least + (n - least) % 2 for n in volume_shape)
    return x, y, z


def _largest_path(sample: Volume, oversampling: int) -> float:
    """Largest sum along the axes of the volume, in absorbance, seen by whole pixels."""
    coarse = _block_mean(sample, oversampling)
    return max(float(coarse.sum(axis=axis).max()) for axis in range(3))


def _user_phantom(phantom: ArrayLike, volume_shape: tuple[int, int, int], oversampling: int) -> Volume:
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


def _to_voxels(sample: Volume, volume_shape: tuple[int, int, int], oversampling: int) -> Volume:
    """Mean of the sub-voxels in each voxel of the volume, cropped or padded about the centre."""
    coarse = _block_mean(sample, oversampling)
    grow = [(v - n) // 2 for v, n in zip(volume_shape, coarse.shape, strict=True)]
    coarse = coarse[tuple(slice(max(-g, 0), n - max(-g, 0)) for g, n in zip(grow, coarse.shape, strict=True))]
    return np.pad(coarse, [(max(g, 0), max(g, 0)) for g in grow])


def _block_mean(sample: Volume, oversampling: int) -> Volume:
    blocks = [m for n in sample.shape for m in (n // oversampling, oversampling)]
    return np.asarray(sample.reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float64), dtype=np.float32)
