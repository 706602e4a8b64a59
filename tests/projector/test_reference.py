"""Forward and adjoint against a slow, dense reference in float64, written from the formulae alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from mumott_dask import Projector
from mumott_dask.projector import numba_cpu, splines
from mumott_dask.projector.numba_channels import SLAB

DIRECTIONS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # p, j, k in the laboratory
WITHIN = 1e-5  # of the largest value

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 11)
offsets = st.one_of(st.floats(-2, 2), st.floats(-40, 40), st.integers(-6, 6).map(lambda n: n / 2))


def centres(side):
    """Centres of the voxels or pixels along an axis, from the middle."""
    return np.arange(side) + 0.5 - side / 2


def sampled(array, positions):
    """Linear interpolation at positions from the middle, (axis, ...); zero outside."""
    middle = (np.array(array.shape) - 1) / 2
    positions = positions + middle.reshape(-1, *[1] * (positions.ndim - 1))
    return map_coordinates(array.astype(np.float64), positions, order=1, mode="grid-constant")


def reference_forward(A, volume):
    """For each ray: the slices across its dominant axis, sampled where it crosses them, times its path."""
    images = []
    for rotation, j_offset, k_offset in zip(A.rotation, A.j_offset, A.k_offset, strict=True):
        p, u, w = (rotation.T @ np.array(d) for d in (A.p_direction_0, A.j_direction_0, A.k_direction_0))
        main = np.argmax(np.abs(p))
        j, k = np.meshgrid(*map(centres, A.detector_shape), indexing="ij")
        ray = np.multiply.outer(u, j + j_offset) + np.multiply.outer(w, k + k_offset)
        slices = centres(A.volume_shape[main])
        distance = (slices - ray[main][..., None]) / p[main]
        points = ray[..., None] + np.multiply.outer(p, distance)
        points[main] = slices
        images.append(sampled(volume, points).sum(axis=-1) / abs(p[main]))
    return np.stack(images)


def reference_adjoint(A, images):
    """For each voxel: the sum over projections of the image sampled where the voxel's centre lands."""
    total = np.zeros(A.volume_shape)
    voxels = np.stack(np.meshgrid(*map(centres, A.volume_shape), indexing="ij"))
    for image, rotation, j_offset, k_offset in zip(images, A.rotation, A.j_offset, A.k_offset, strict=True):
        u, w = (rotation.T @ np.array(d) for d in (A.j_direction_0, A.k_direction_0))
        j, k = np.tensordot(u, voxels, 1) - j_offset, np.tensordot(w, voxels, 1) - k_offset
        total += sampled(image, np.stack([j, k]))
    return total


def assert_agree(found, expected, scale=None):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    largest = np.abs(expected).max() if scale is None else scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=WITHIN * max(largest, 1e-12))


def assert_both_agree(A, seed):
    """Random content, up to the edges of volume and detector, through either way and all kernels."""
    random = np.random.default_rng(seed)
    volume = random.uniform(0.1, 1, A.volume_shape).astype(np.float32)
    images = random.uniform(0.1, 1, A.shape).astype(np.float32)
    # Where the sample has all but left the view, the largest value is a fraction of a voxel's: one voxel then.
    for projector in (A, A.single_threaded()):
        expected = reference_forward(A, volume)
        assert_agree(projector.forward(volume), expected, max(expected.max(), 1))
        expected = reference_adjoint(A, images)
        assert_agree(projector.adjoint(images), expected, max(expected.max(), 1))


def turn(axis, angle):
    return Rotation.from_rotvec(angle * np.eye(3)[axis]).as_matrix()


@pytest.mark.parametrize("angle", [0.0, np.pi, 0.3, np.pi - 0.3], ids=["along", "against", "turned", "back"])
@pytest.mark.parametrize("main", range(3), ids="xyz")
@pytest.mark.parametrize("tilt", [0.0, 0.2, -0.6])
def test_every_dominant_axis_in_either_direction(main, angle, tilt):
    across, other = (main + 1) % 3, (main + 2) % 3
    to_lab = np.eye(3)[[across, main, other]] * [[1], [1], [1]]
    to_lab[0] *= np.linalg.det(to_lab)
    rotation = turn(0, tilt) @ turn(2, angle) @ to_lab
    A = Projector([rotation] * 3, [0.0, 0.3, -1.7], [0.0, -0.45, 2.5], (7, 9, 6), (8, 5))
    p = rotation.T @ DIRECTIONS[0]
    assert np.argmax(np.abs(p)) == main
    assert (p[main] > 0) == (angle < 1)
    assert_both_agree(A, seed=main)


@settings(deadline=None, max_examples=150)
@given(seeds, st.integers(1, 4), st.tuples(sides, sides, sides), st.tuples(sides, sides), offsets, offsets)
def test_any_rotation_shape_and_offset(seed, count, volume_shape, detector_shape, j_offset, k_offset):
    rotation = Rotation.random(count, rng=seed).as_matrix()
    spread = np.random.default_rng(seed).normal(size=(2, count))
    assert_both_agree(
        Projector(rotation, j_offset + spread[0], k_offset + spread[1], volume_shape, detector_shape), seed
    )


@settings(deadline=None, max_examples=50)
@given(seeds, st.tuples(sides, sides, sides), st.tuples(sides, sides), offsets, offsets)
def test_views_along_the_axes_with_voxels_exactly_on_pixels(
    seed, volume_shape, detector_shape, j_offset, k_offset
):
    """The 24 rotations of a cube: slopes are zero, or zero but for rounding, and positions whole numbers."""
    exact = np.round(Rotation.create_group("O").as_matrix())
    nearly = Rotation.create_group("O").as_matrix()
    shifts = np.full(24, j_offset), np.full(24, k_offset)
    for rotation in (exact, nearly):
        assert_both_agree(Projector(rotation, *shifts, volume_shape, detector_shape), seed)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_any_directions_of_the_laboratory(seed):
    rotation = Rotation.random(4, rng=seed).as_matrix()
    p, j, k = rotation[0] * [[1], [1], [-1]]  # a left-handed laboratory is one too
    A = Projector(rotation[1:], [0.2, 0, -1], [0.7, 0, 3], (5, 6, 7), (8, 9), tuple(p), tuple(j), tuple(k))
    assert_both_agree(A, seed)


def test_a_scan_of_real_size():
    """Positions of some tens of voxels in float32, and rays as long as in a real scan."""
    random = np.random.default_rng(0)
    rotation = Rotation.random(6, rng=1).as_matrix()
    A = Projector(rotation, *random.normal(0, 5, (2, 6)), (90, 100, 80), (110, 95))
    assert_both_agree(A, 2)


@pytest.mark.parametrize("j_offset", [-13.5, 13.5, 60.0, -1e4])
def test_a_sample_out_of_view_leaves_nothing(j_offset):
    """Half a voxel beyond the last that can be seen, and far beyond."""
    A = Projector(np.eye(3)[None], [j_offset], [0.0], (12, 6, 7), (14, 7))
    assert not A.forward(np.ones(A.volume_shape, np.float32)).any()
    assert not A.adjoint(np.ones(A.shape, np.float32)).any()


def test_a_voxel_at_the_edge_is_seen_by_the_half_that_is_in_view():
    A = Projector(np.eye(3)[None], [12.5], [0.0], (12, 6, 7), (14, 7))
    image = A.forward(np.ones(A.volume_shape, np.float32))[0]
    np.testing.assert_array_equal(image[0], 6 * 0.5)
    assert not image[1:].any()


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 11, 19, 32, 33], ids="{} channels".format)
@settings(deadline=None, max_examples=4)
@given(seed=seeds)
def test_channels_are_projected_one_by_one(seed, channels):
    """In as many blocks, whole or not, as are worked on at a time, and in one more."""
    random = np.random.default_rng(seed)
    A = Projector(Rotation.random(3, rng=seed).as_matrix(), *random.normal(size=(2, 3)), (5, 7, 6), (8, 9))
    volume = random.random((*A.volume_shape, channels), np.float32)
    images = random.random((*A.shape, channels), np.float32)
    for projector in (A, A.single_threaded()):
        forward, adjoint = projector.forward(volume), projector.adjoint(images)
        assert forward.shape == images.shape
        assert adjoint.shape == volume.shape
        for c in {0, channels // 2, channels - 1}:
            assert_agree(forward[..., c], reference_forward(A, volume[..., c]))
            assert_agree(adjoint[..., c], reference_adjoint(A, images[..., c]))


@pytest.mark.parametrize("threads", [True, False])
def test_a_volume_of_channels_beyond_the_cache(threads):
    """Several slabs of the volume, tiles of the detector and the volume, and more projections than a batch."""
    random = np.random.default_rng(0)
    rotation = Rotation.random(70, rng=2).as_matrix()
    A = Projector(rotation, *random.normal(size=(2, 70)), (34, 35, 36), (19, 37), threads=threads)
    volume = random.random((*A.volume_shape, 107), np.float32)
    images = random.random((*A.shape, 21), np.float32)
    assert volume.nbytes > SLAB
    some = A[:3]
    forward, adjoint = some.forward(volume), A.adjoint(images)
    for c in (0, 17, 106):
        assert_agree(forward[..., c], reference_forward(some, volume[..., c]))
    for c in (4, 20):
        assert_agree(adjoint[..., c], reference_adjoint(A, images[..., c]))


@pytest.mark.parametrize("method", ["forward", "reproject"])
def test_a_volume_in_slabs_gives_the_same_as_at_once(monkeypatch, method):
    random = np.random.default_rng(0)
    rotation = Rotation.random(12, rng=5).as_matrix()
    A = Projector(rotation, *random.normal(size=(2, 12)), (34, 35, 36), (19, 37))
    volume = random.random(A.volume_shape, np.float32)
    whole = getattr(A, method)(volume)
    for kernels in (numba_cpu, splines):
        monkeypatch.setattr(kernels, "SLAB", volume.nbytes // 4)
    assert_agree(getattr(A, method)(volume), whole)


def test_one_channel_is_the_same_with_and_without_its_axis():
    random = np.random.default_rng(0)
    A = Projector(Rotation.random(9, rng=2).as_matrix(), *random.normal(size=(2, 9)), (15, 16, 17), (18, 19))
    volume, images = random.random(A.volume_shape, np.float32), random.random(A.shape, np.float32)
    assert_agree(A.forward(volume[..., None])[..., 0], A.forward(volume))
    assert_agree(A.adjoint(images[..., None])[..., 0], A.adjoint(images))


@settings(deadline=None, max_examples=60)
@given(seeds, st.tuples(sides, sides, sides), st.tuples(sides, sides), offsets)
def test_nothing_beyond_the_input_is_read(seed, volume_shape, detector_shape, offset):
    """The input lies between NaNs in memory: one that was read, even with weight 0, would show."""
    cube = Rotation.create_group("O").as_matrix()
    rotation = np.concatenate([cube, Rotation.random(24, rng=seed).as_matrix()])
    A = Projector(rotation, np.full(48, offset), np.full(48, -offset), volume_shape, detector_shape)
    for shape, operate in ((A.volume_shape, A.forward), (A.shape, A.adjoint)):
        memory = np.full((shape[0] + 4, *shape[1:]), np.nan, np.float32)
        memory[2:-2] = 1
        assert np.isfinite(operate(memory[2:-2])).all()


@pytest.mark.parametrize(
    "disguised",
    [
        lambda a: a.astype(np.float64),
        lambda a: a.astype(">f4"),
        lambda a: a.astype(">f8"),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1][::-1],
        lambda a: np.flip(np.flip(a).copy()),
        lambda a: np.frombuffer(a.tobytes(), np.float32).reshape(a.shape),
    ],
    ids=["float64", "big-endian", "big-endian 64", "Fortran", "strided", "twice", "backwards", "read-only"],
)
def test_any_layout_in_memory_and_any_float(disguised):
    random = np.random.default_rng(0)
    A = Projector(Rotation.random(3, rng=0).as_matrix(), *random.normal(size=(2, 3)), (5, 7, 6), (8, 9))
    volume, images = random.random(A.volume_shape, np.float32), random.random(A.shape, np.float32)
    weights = random.random(A.shape, np.float32)
    np.testing.assert_array_equal(A.forward(disguised(volume)), A.forward(volume))
    np.testing.assert_array_equal(A.adjoint(disguised(images)), A.adjoint(images))
    gradient, loss = A.gradient(disguised(volume), disguised(images), disguised(weights))
    expected, expected_loss = A.gradient(volume, images, weights)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert loss == pytest.approx(expected_loss, rel=1e-6)


def test_whole_numbers_are_projected_as_they_are():
    A = Projector(np.eye(3)[None], [0.0], [0.0], (3, 4, 5), (3, 5))
    np.testing.assert_array_equal(A.forward(np.full(A.volume_shape, 2)), 8)
    np.testing.assert_array_equal(A.adjoint(np.full(A.shape, 2, np.uint16)), 2)
