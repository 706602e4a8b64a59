"""Reprojection with cubic splines against a dense reference in float64, and against what it is there for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mumott_dask import Projector, ScanError
from mumott_dask.projector import splines

DIRECTIONS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # p, j, k in the laboratory
WITHIN = 2e-5  # of the largest value

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 9)
offsets = st.one_of(st.floats(-2, 2), st.floats(-40, 40), st.integers(-6, 6).map(lambda n: n / 2))


def centres(side):
    """Centres of the voxels or pixels along an axis, from the middle."""
    return np.arange(side) + 0.5 - side / 2


def b_spline(t):
    """The cubic B-spline: four cubics between -2 and 2, zero outside."""
    t = np.abs(t)
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0))


def to_coefficients(side):
    """Matrix from the samples along an axis to the coefficients: blurred, then interpolated.

    The blur takes what is outside for zero, the interpolation for a mirror image about the outermost sample.
    """
    if side == 1:
        return np.eye(1)
    blur = np.eye(side) * 10 / 12 + (np.eye(side, k=1) + np.eye(side, k=-1)) / 12
    values = np.eye(side) * 4 / 6 + (np.eye(side, k=1) + np.eye(side, k=-1)) / 6
    values[0, 1] += 1 / 6
    values[-1, -2] += 1 / 6
    return np.linalg.inv(values) @ blur


def reference(A, volume):
    """For each ray: the spline in each slice across its dominant axis where it crosses it, times its path."""
    images = []
    for rotation, j_offset, k_offset in zip(A.rotation, A.j_offset, A.k_offset, strict=True):
        p, u, w = (rotation.T @ np.array(d) for d in (A.p_direction_0, A.j_direction_0, A.k_direction_0))
        main = np.argmax(np.abs(p))
        j, k = np.meshgrid(*map(centres, A.detector_shape), indexing="ij")
        ray = np.multiply.outer(u, j + j_offset) + np.multiply.outer(w, k + k_offset)
        total = np.zeros(A.detector_shape)
        for place, values in zip(
            centres(A.volume_shape[main]), np.moveaxis(volume, main, 0).astype(float), strict=True
        ):
            crossing = np.delete(ray + np.multiply.outer(p, (place - ray[main]) / p[main]), main, axis=0)
            a, b = (
                b_spline(where[..., None] - centres(side)) @ to_coefficients(side)
                for where, side in zip(crossing, values.shape, strict=True)
            )
            total += np.einsum("jka,ab,jkb->jk", a, values, b)
        images.append(total / abs(p[main]))
    return np.stack(images)


def assert_agrees(A, seed=0):
    """Random content, up to the edges of the volume, with all threads and with one."""
    volume = np.random.default_rng(seed).uniform(0.1, 1, A.volume_shape).astype(np.float32)
    expected = reference(A, volume)
    for projector in (A, A.single_threaded()):
        found = projector.reproject(volume)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=WITHIN * max(np.abs(expected).max(), 1))


def turn(axis, angle):
    return Rotation.from_rotvec(angle * np.eye(3)[axis]).as_matrix()


@pytest.mark.parametrize("angle", [0.0, np.pi, 0.3, np.pi - 0.3], ids=["along", "against", "turned", "back"])
@pytest.mark.parametrize("main", range(3), ids="xyz")
@pytest.mark.parametrize("tilt", [0.0, -0.6])
def test_every_dominant_axis_in_either_direction(main, angle, tilt):
    across, other = (main + 1) % 3, (main + 2) % 3
    to_lab = np.eye(3)[[across, main, other]]
    to_lab[0] *= np.linalg.det(to_lab)
    rotation = turn(0, tilt) @ turn(2, angle) @ to_lab
    A = Projector([rotation] * 4, [0.0, 0.3, -1.7, 6.4], [0.0, -0.45, 2.5, -5.2], (7, 9, 6), (8, 5))
    p = rotation.T @ DIRECTIONS[0]
    assert np.argmax(np.abs(p)) == main
    assert (p[main] > 0) == (angle < 1)
    assert_agrees(A, main)


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 3), st.tuples(sides, sides, sides), st.tuples(sides, sides), offsets, offsets)
def test_any_rotation_shape_and_offset(seed, count, volume_shape, detector_shape, j_offset, k_offset):
    spread = np.random.default_rng(seed).normal(size=(2, count))
    rotation = Rotation.random(count, rng=seed).as_matrix()
    assert_agrees(
        Projector(rotation, j_offset + spread[0], k_offset + spread[1], volume_shape, detector_shape), seed
    )


@settings(deadline=None, max_examples=15)
@given(seeds, st.tuples(sides, sides, sides), st.tuples(sides, sides), offsets, offsets)
def test_views_along_the_axes_with_voxels_exactly_on_pixels(
    seed, volume_shape, detector_shape, j_offset, k_offset
):
    """The 24 rotations of a cube: positions are whole numbers, or whole but for rounding."""
    nearly = Rotation.create_group("O").as_matrix()
    shifts = np.full(24, j_offset), np.full(24, k_offset)
    for rotation in (np.round(nearly), nearly):
        assert_agrees(Projector(rotation, *shifts, volume_shape, detector_shape), seed)


def test_a_scan_of_real_size_agrees_with_the_reference_ray_by_ray():
    """Positions of some tens of voxels in float32."""
    rotation = Rotation.random(2, rng=1).as_matrix()
    offset = np.random.default_rng(0).normal(0, 5, (2, 2))
    assert_agrees(Projector(rotation, *offset, (60, 50, 55), (12, 70)), 2)


def test_threads_and_one_thread_give_the_same_bits():
    volume = np.random.default_rng(0).random((20, 24, 22), np.float32)
    A = Projector(
        Rotation.random(9, rng=4).as_matrix(), np.linspace(-3, 3, 9), np.zeros(9), (20, 24, 22), (30, 26)
    )
    np.testing.assert_array_equal(A.reproject(volume), A.single_threaded().reproject(volume))


def test_a_sample_out_of_view_leaves_nothing():
    """The last coefficient reaches two voxels beyond its own."""
    for j_offset, seen in ((13.9, True), (14.1, False), (-13.9, True), (-14.1, False), (1e4, False)):
        A = Projector(np.eye(3)[None], [j_offset], [0.0], (12, 6, 7), (14, 7))
        assert A.reproject(np.ones(A.volume_shape, np.float32)).any() == seen


@settings(deadline=None, max_examples=30)
@given(seeds, st.tuples(sides, sides, sides), st.tuples(sides, sides), offsets)
def test_nothing_beyond_the_volume_and_its_coefficients_is_read(seed, volume_shape, detector_shape, offset):
    """Both lie between NaNs in memory: one that was read, even with weight 0, would show."""
    rotation = np.concatenate(
        [Rotation.create_group("O").as_matrix(), Rotation.random(24, rng=seed).as_matrix()]
    )
    A = Projector(rotation, np.full(48, offset), np.full(48, -offset), volume_shape, detector_shape)
    memory = np.full((volume_shape[0] + 4, *volume_shape[1:]), np.nan, np.float32)
    memory[2:-2] = 1
    expected = A.reproject(memory[2:-2])
    assert np.isfinite(expected).all()
    found = np.full(A.shape, np.nan, np.float32)
    axes, *parameters = A.rays
    for main in np.unique(axes[:, 0]):
        numbers = np.flatnonzero(axes[:, 0] == main)
        slices = splines.coefficients(memory[2:-2].transpose(axes[numbers[0]]))
        guarded = np.full((len(slices) + 4, *slices.shape[1:]), np.nan, np.float32)
        guarded[2:-2] = slices
        splines._forward_serial(guarded[2:-2], 0, numbers, *parameters, found)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("volume", [np.float64, ">f4", "F"])
def test_any_layout_in_memory_and_any_float(volume):
    plain = np.random.default_rng(0).random((5, 7, 6), np.float32)
    A = Projector(Rotation.random(3, rng=0).as_matrix(), [0, 0.3, 1], [0, 0.2, -1], (5, 7, 6), (8, 9))
    other = np.asfortranarray(plain) if volume == "F" else plain.astype(volume)
    np.testing.assert_allclose(A.reproject(other), A.reproject(plain), rtol=0, atol=1e-6)


def test_a_volume_of_another_shape_is_refused():
    A = Projector(np.eye(3)[None], [0.0], [0.0], (5, 7, 6), (8, 9))
    with pytest.raises(ScanError, match=r"volume has shape \(5, 7, 7\), expected \(5, 7, 6\)"):
        A.reproject(np.ones((5, 7, 7), np.float32))


SIGMA, SIDE = 1.3, 24


def gaussian(centre):
    along = [np.exp(-((centres(SIDE) - c) ** 2) / (2 * SIGMA**2)) for c in centre]
    return np.einsum("x,y,z->xyz", *along).astype(np.float32)


def places(images, A, centre):
    """Where each image has its Gaussian, less where it should be: by centroid and by least squares, (2, 2, n).

    The latter is the displacement that explains the image's difference from the true Gaussian, as wide as the
    image's own: what an alignment would take it for.
    """
    j, k = np.meshgrid(*map(centres, A.detector_shape), indexing="ij")
    errors = []
    for n, image in enumerate(images.astype(float)):
        a, b = j + A.j_offset[n] - A.basis.u[n] @ centre, k + A.k_offset[n] - A.basis.w[n] @ centre
        centroid = (image * a).sum() / image.sum(), (image * b).sum() / image.sum()
        width = ((image * (a**2 + b**2)).sum() / image.sum()) / 2
        expected = np.exp(-(a**2 + b**2) / (2 * width))
        slopes = np.stack([a * expected, b * expected]).reshape(2, -1) / width
        design = np.concatenate([slopes, expected.reshape(1, -1)]).T
        shift_j, shift_k, height = np.linalg.lstsq(design, image.ravel(), rcond=None)[0]
        errors.append([centroid, (shift_j / height, shift_k / height)])
    return np.moveaxis(np.array(errors), 0, -1)


STEPS = np.linspace(-0.5, 0.5, 11)


@pytest.mark.parametrize("rotation", ["along", "turned"])
def test_a_shifted_gaussian_is_seen_where_it_is(rotation):
    """At any place between the voxels, to 0.002 pixel; by least squares `forward` is up to a hundredth off."""
    own = np.eye(3) if rotation == "along" else turn(2, 0.4) @ turn(0, 0.3)
    steps = np.stack(np.meshgrid(STEPS, STEPS[::2], indexing="ij")).reshape(2, -1)
    A = Projector([own] * steps.shape[1], *steps, (SIDE,) * 3, (SIDE, SIDE))
    centre = np.array([0.2, -0.3, 0.4])
    volume = gaussian(centre)
    sharp, plain = (np.abs(places(images, A, centre)) for images in (A.reproject(volume), A.forward(volume)))
    assert sharp.max() < 0.002
    assert plain[1].max() > 5 * sharp[1].max()


def test_a_gaussian_is_blurred_alike_wherever_its_rays_pass():
    """Linear interpolation leaves it sharp at the voxels and blurs it between them."""
    A = Projector([np.eye(3)] * 11, STEPS, STEPS, (SIDE,) * 3, (SIDE, SIDE))
    volume = gaussian(np.zeros(3))
    j, k = np.meshgrid(*map(centres, A.detector_shape), indexing="ij")
    spread = []
    for images in (A.reproject(volume), A.forward(volume)):
        squares = (j + STEPS[:, None, None]) ** 2 + (k + STEPS[:, None, None]) ** 2
        widths = (images * squares).sum(axis=(1, 2)) / images.sum(axis=(1, 2)) / 2
        assert widths.mean() == pytest.approx(SIGMA**2 + 1 / 6, rel=0.02)
        spread.append(np.ptp(widths))
    assert spread[0] < 0.01 < 0.2 < spread[1]
