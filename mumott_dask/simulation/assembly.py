"""A whole simulated scan: sample, instrument, forward model and noise put together, the truth beside them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask.errors import ScanError
from mumott_dask.geometry import default_volume_shape
from mumott_dask.scan import make_scan
from mumott_dask.scan.schema import INNER_AXIS

from . import beam, detector, stage
from .bounds import offset_bounds
from .checks import (
    check_counts,
    check_fraction,
    check_not_negative,
    check_part,
    check_positive,
    checked_angles,
    checked_offsets,
    checked_volume_shape,
)
from .forward import sampled, transmission
from .samples import Grid, bone_core, bone_slab
from .truth import with_bounds, with_truth
from .views import J_AXIS, K_AXIS, across, views, wrong_projections
from .voxels import checked_phantom, to_voxels

Floats = NDArray[np.float64]


class Streams(NamedTuple):
    """Random numbers by what they are for, so that one thing more or less leaves the others as they were."""

    sample: np.random.Generator
    offsets: np.random.Generator
    flux: np.random.Generator
    photons: np.random.Generator
    turns: np.random.Generator
    background: np.random.Generator
    wrong: np.random.Generator
    pixels: np.random.Generator


def simulate(
    shape: tuple[int, int] = (65, 55),
    tilts: int = 6,
    rotations: int = 41,
    photons: float | None = 40_000,
    *,
    jitter: float = 1.0,
    jumps: float = 4.0,
    drift: float = 1.0,
    offsets: ArrayLike | None = None,
    flux_drift: float = 0.02,
    extent: float = 0.75,
    absorbance: float = 0.8,
    largest_tilt: float = np.pi / 4,
    inner_axis: ArrayLike = INNER_AXIS,
    outer_axis: ArrayLike | None = None,
    tilt_angles: ArrayLike | None = None,
    arc: tuple[float, float] | None = None,
    angle_error: float = 0.0,
    axis_error: tuple[float, float] = (0.0, 0.0),
    background: float = 0.0,
    wrong: int = 0,
    hot: float = 0.0,
    dead_columns: int = 0,
    pixel_size: float | None = None,
    volume_shape: tuple[int, int, int] | None = None,
    sample: Literal["bone", "slab"] = "bone",
    thickness: float = 0.3,
    phantom: ArrayLike | None = None,
    oversampling: int = 2,
    bounds: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """Simulate a transmission scan of a piece of bone, with known truth.

    The scan's own offsets are zero and its rotations nominal, as those of a scan that nobody has aligned; the
    true ones stand beside them. A seed gives the same bone, offsets, flux and faults whatever the noise and
    the oversampling.

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
    offsets : (2, projection) float, pixels, optional
        The true offsets themselves, along j and along k, in place of `jitter`, `jumps` and `drift`.
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
    tilt_angles : (tilt,) float, radians, optional
        The tilts themselves, in place of `tilts` and `largest_tilt`.
    arc : (first, last) float, radians, optional
        First and last angle of rotation at every tilt, in place of half or whole circles.
    angle_error : float, radians
        Each projection is turned by a small rotation of its own, unknown to the scan: the RMS of each of the
        three components of its rotation vector in the sample's frame.
    axis_error : (in plane, pitch) float, radians
        All projections are turned by the same rotation in the laboratory, unknown to the scan: about the
        beam, and about the detector's axis across `inner_axis`.
    background : float, absorbance
        An air level of constant and slope that drifts and jitters: the largest change that a slope makes
        from one edge of the detector to the other, in a direction of its own in each projection.
    wrong : int
        Projections that are entirely wrong: half of them of a closed shutter (stray light alone), the others
        off by 20 to 60 degrees.
    hot : float
        Fraction of the pixels of each projection that read nonsense, half of them 3 to 100 times the open
        beam, half of them nothing.
    dead_columns : int
        Columns of pixels (a j, all k) that read nothing in all projections.
    pixel_size : float, micrometre, optional
    volume_shape : three int, optional
        Voxels of the scan's volume, by default what the detector sees. The sample may reach beyond it.
    sample : {"bone", "slab"}
        A core of bone, or a slab of it across `inner_axis` that is wider than all views. A slab cannot be
        seen edge-on: it needs tilts of 30 degrees or more.
    thickness : float
        Thickness of a slab relative to the smaller side of the detector. For a slab, `extent` does not
        matter, and `absorbance` is that along `inner_axis`.
    phantom : (x, y, z) float, optional
        A sample to take instead of the bone: absorbance per voxel at the centres of sub-voxels
        (`oversampling` of them along a voxel's side), its centre on the volume's. `extent` and `absorbance`
        don't apply to it.
    oversampling : int
        Sub-voxels along a voxel's side, and sub-pixels along a pixel's. Time and memory grow with its cube.
    bounds : bool
        Also compute how well the offsets can be found at all, at the cost of four more forward models.
    seed : int

    Returns
    -------
    xarray.Dataset
        A scan with the variables ``diode``, ``weights`` and ``tomogram_true``, and the coordinates
        ``j_offset_true`` and ``k_offset_true`` (pixels). Where they apply: the coordinates ``rotation_true``
        and ``wrong_true`` (bool, by projection), and the attribute ``axis_error_true`` (rotation vector,
        laboratory's frame, radians). With `bounds`, the coordinates ``j_offset_bound`` and
        ``k_offset_bound`` (Cramer-Rao: least standard deviations in pixels, everything else known, NaN for
        wrong projections) and their RMS, the attribute ``offset_bound``.

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
    check_counts(shape=shape, tilts=tilts, rotations=rotations, oversampling=oversampling)
    check_positive(photons=1 if photons is None else photons, extent=extent, absorbance=absorbance)
    check_positive(thickness=thickness)
    check_not_negative(jitter=jitter, jumps=jumps, drift=drift, flux_drift=flux_drift, seed=seed)
    check_not_negative(angle_error=angle_error, background=background)
    check_fraction(hot=hot)
    check_part(whole=shape[0], dead_columns=dead_columns)
    if sample not in ("bone", "slab"):
        raise ScanError(f"simulate: sample is {sample!r}, expected 'bone' or 'slab'")
    if bounds and photons is None:
        raise ScanError("simulate: bounds are those of photon noise, expected a number of photons, not None")
    slopes = np.linspace(0.0, largest_tilt, tilts) if tilt_angles is None else tilt_angles
    ends = None if arc is None else checked_angles("arc", arc, 2)
    angles = stage.angles(checked_angles("tilt_angles", slopes), rotations, ends)
    check_part(whole=angles.tilt.size, wrong=wrong)
    streams = Streams(*(np.random.default_rng([seed, n]) for n in range(len(Streams._fields))))

    inner = np.asarray(inner_axis, dtype=np.float64)
    seen = views(
        angles,
        inner,
        across(inner) if outer_axis is None else np.asarray(outer_axis, dtype=np.float64),
        stage.offsets(angles.tilt, jitter, jumps, drift, streams.offsets)
        if offsets is None
        else checked_offsets(offsets, angles.tilt.size),
        wrong_projections(angles.tilt.size, wrong, streams.wrong),
        angle_error,
        checked_angles("axis_error", axis_error, 2),
        streams.turns,
    )
    volume = checked_volume_shape(volume_shape, default_volume_shape(shape, inner, J_AXIS, K_AXIS))
    grid = Grid(shape, volume, oversampling, int(np.argmax(np.abs(inner))))
    if phantom is not None:
        fine = checked_phantom(phantom, volume, oversampling)
    elif sample == "bone":
        fine = bone_core(grid, extent, absorbance, streams.sample)
    else:
        fine = bone_slab(grid, thickness, absorbance, seen, streams.sample)
    samples = sampled(fine, oversampling)
    light = beam.flux(angles.tilt.size, flux_drift, streams.flux)[:, None, None]
    if background:
        light = light * 10 ** -beam.background(angles.tilt.size, shape, background, streams.background)

    def expected(j_offset: Floats, k_offset: Floats) -> Floats:
        return np.asarray(light * transmission(samples, seen.true, j_offset, k_offset, shape))

    fraction = expected(seen.j_offset, seen.k_offset)
    pixels = detector.faulty_pixels(fraction.shape, hot, dead_columns, streams.pixels)
    readings = detector.readings(fraction, photons, seen.wrong.closed, pixels, streams.photons)
    scan = make_scan(
        readings,
        angles.inner,
        tilts=angles.outer,
        inner_axis=inner,
        outer_axis=seen.outer_axis,
        pixel_size=pixel_size,
        volume_shape=volume,
    )
    scan.attrs["source"] = (
        f"simulate(shape={tuple(shape)}, tilts={tilts}, rotations={rotations}, photons={photons}, "
        f"jitter={jitter}, jumps={jumps}, drift={drift}, seed={seed})"
    )
    scan = with_truth(scan, to_voxels(fine, volume, oversampling), seen)
    if not bounds or photons is None:
        return scan
    usable = ~pixels.faulty & ~seen.wrong.any[:, None, None]
    return with_bounds(scan, *offset_bounds(expected, photons, seen.j_offset, seen.k_offset, usable))
