"""Laws of the one convention: rotations, views, offsets and the gauge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from mumott_dask import ScanError
from mumott_dask.geometry import (
    basis,
    default_volume_shape,
    dominant_axis,
    free_gauge,
    gauge_offsets,
    gauge_vector,
    rms_offsets,
    rotation_fault,
    rotations_from_angles,
    without_gauge,
)

X, Y, Z = np.eye(3)
INNER, OUTER = -Z, X

vectors = hnp.arrays(float, 3, elements=st.floats(-5, 5))
directions = vectors.filter(lambda v: np.linalg.norm(v) > 1e-2)
seeds = st.integers(0, 2**32 - 1)
counts = st.integers(2, 20)


def turned(angles, axis=INNER, tilts=0.0):
    return rotations_from_angles(angles, np.broadcast_to(tilts, np.shape(angles)), axis, OUTER)


def random_basis(seed, count):
    """Views of unrelated orientations, with unrelated (orthonormal) directions of the laboratory."""
    rotation = Rotation.random(count + 1, rng=seed).as_matrix()
    return basis(rotation[1:], *rotation[0])


@given(seeds, counts, directions, directions)
def test_rotations_are_rotations(seed, count, inner_axis, outer_axis):
    inner, outer = np.random.default_rng(seed).uniform(-10, 10, (2, count))
    rotation = rotations_from_angles(inner, outer, inner_axis, outer_axis)
    assert rotation.shape == (count, 3, 3)
    assert rotation.dtype == np.float64
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, 1, 2), [np.eye(3)] * count, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    assert rotation_fault(rotation) is None


def test_a_quarter_turn_about_z_takes_x_to_y():
    np.testing.assert_allclose(turned([np.pi / 2], Z)[0] @ X, Y, atol=1e-15)
    np.testing.assert_allclose(turned([np.pi / 2], -Z)[0] @ X, -Y, atol=1e-15)


@given(seeds, counts, directions, directions)
def test_the_outer_rotation_comes_after_the_inner(seed, count, inner_axis, outer_axis):
    inner, outer = np.random.default_rng(seed).uniform(-4, 4, (2, count))
    both = rotations_from_angles(inner, outer, inner_axis, outer_axis)
    alone = (
        rotations_from_angles(inner, 0 * inner, inner_axis, outer_axis),
        rotations_from_angles(0 * inner, outer, inner_axis, outer_axis),
    )
    np.testing.assert_allclose(both, alone[1] @ alone[0], atol=1e-12)
    # The inner axis turns with the outer rotation, the outer one stays in the laboratory.
    np.testing.assert_allclose(both @ inner_axis, alone[1] @ inner_axis, atol=1e-12)


@given(seeds, directions, st.floats(0.1, 10))
def test_the_sign_of_an_axis_and_its_length_do_not_matter(seed, axis, length):
    angles = np.random.default_rng(seed).uniform(-4, 4, 5)
    expected = turned(angles, axis)
    np.testing.assert_allclose(turned(-angles, -axis), expected, atol=1e-12)
    np.testing.assert_allclose(turned(angles, length * axis), expected, atol=1e-12)
    np.testing.assert_allclose(turned(angles, np.tile(axis, (5, 1))), expected, atol=1e-12)


def test_one_angle_is_one_projection():
    assert rotations_from_angles(0.1, 0.2, INNER, OUTER).shape == (1, 3, 3)


@pytest.mark.parametrize(
    ("angle", "axis", "line"),
    [
        (1.0, [0, 0, 0], "a rotation axis has length 0, expected a direction"),
        (1.0, [0, 0, np.nan], "a rotation axis has length 0, expected a direction"),
        (np.nan, INNER, "a rotation angle is nan, expected a finite number"),
    ],
)
def test_what_turns_nothing_is_refused(angle, axis, line):
    with pytest.raises(ScanError, match=line):
        turned([0.0, angle], axis)


@given(seeds, counts)
def test_a_view_is_the_laboratorys_directions_seen_by_the_sample(seed, count):
    rotation = Rotation.random(count, rng=seed).as_matrix()
    axes = basis(rotation, Y, X, Z)
    for vectors_of, direction in zip(axes, (Y, X, Z), strict=True):
        for i in range(count):
            np.testing.assert_allclose(vectors_of[i], rotation[i].T @ direction, atol=1e-12)
            np.testing.assert_allclose(rotation[i] @ vectors_of[i], direction, atol=1e-12)


@given(seeds, counts)
def test_a_view_is_orthonormal(seed, count):
    axes = np.stack(random_basis(seed, count), 1)
    np.testing.assert_allclose(axes @ np.swapaxes(axes, 1, 2), [np.eye(3)] * count, atol=1e-12)


@given(seeds, counts)
def test_rotating_sample_and_laboratory_together_changes_no_view(seed, count):
    rotation = Rotation.random(count, rng=seed).as_matrix()
    turn = Rotation.random(rng=seed + 1).as_matrix()
    before, after = basis(rotation, Y, X, Z), basis(turn @ rotation, turn @ Y, turn @ X, turn @ Z)
    np.testing.assert_allclose(np.stack(after), np.stack(before), atol=1e-12)


def test_a_positive_offset_moves_the_view():
    """A point at +1 along j is seen on the central pixel of five once the view has moved by +1."""
    axes = basis(turned([0.0]), Y, X, Z)
    size, point = 5, X

    def pixel(j_offset):
        return axes.u[0] @ point - j_offset + size / 2 - 0.5

    assert pixel(0.0) == 3.0
    assert pixel(1.0) == 2.0
    np.testing.assert_array_equal(gauge_offsets(point, axes)[0], [1.0])


@given(hnp.arrays(float, (6, 3), elements=st.floats(-1, 1)))
def test_the_dominant_axis_is_the_first_of_the_largest(p):
    for ray, axis in zip(np.abs(p), dominant_axis(p), strict=True):
        assert ray[axis] == ray.max()
        assert (ray[:axis] < ray.max()).all()


def test_float64_decides_the_dominant_axis():
    nearly = np.nextafter(np.sqrt(0.5), 1)
    assert dominant_axis([[np.sqrt(0.5), nearly, 0]])[0] == 1
    assert dominant_axis([[np.sqrt(0.5), -np.sqrt(0.5), 0]])[0] == 0


@given(seeds, counts, vectors)
def test_the_gauge_is_found_again(seed, count, d):
    """Two views that differ leave nothing of a movement undetermined."""
    axes = random_basis(seed, count)
    np.testing.assert_allclose(gauge_vector(*gauge_offsets(d, axes), axes), d, atol=1e-6)


@given(seeds, counts, vectors)
def test_a_movement_is_nothing_but_gauge(seed, count, d):
    axes = random_basis(seed, count)
    j, k = np.random.default_rng(seed).normal(size=(2, count))
    dj, dk = gauge_offsets(d, axes)
    moved = without_gauge(j + dj, k + dk, axes)
    np.testing.assert_allclose(moved, without_gauge(j, k, axes), atol=1e-9)
    assert rms_offsets(*without_gauge(dj, dk, axes)) < 1e-9


@given(seeds, counts)
def test_taking_the_gauge_out_twice_changes_nothing_and_never_makes_it_worse(seed, count):
    axes = random_basis(seed, count)
    j, k = np.random.default_rng(seed).normal(size=(2, count))
    once = without_gauge(j, k, axes)
    np.testing.assert_allclose(without_gauge(*once, axes), once, atol=1e-9)
    assert rms_offsets(*once) <= rms_offsets(j, k) + 1e-12


@given(seeds, directions, vectors)
def test_the_gauge_does_not_know_the_sign_of_the_axis(seed, axis, d):
    random = np.random.default_rng(seed)
    angles, (j, k) = random.uniform(-3, 3, 8), random.normal(size=(2, 8))
    one, other = (basis(turned(s * angles, s * axis, 0.3), Y, X, Z) for s in (1, -1))
    np.testing.assert_allclose(without_gauge(j, k, one), without_gauge(j, k, other), atol=1e-7)


def test_what_one_view_cannot_tell_of_the_gauge_is_zero():
    axes = basis(turned([0.0, 0.0]), Y, X, Z)
    np.testing.assert_allclose(gauge_vector([1.0, 1.0], [2.0, 2.0], axes), [1, 0, 2], atol=1e-12)


def test_with_several_tilts_the_gauge_is_not_the_mean_of_the_vertical_offsets():
    angles = np.tile(np.linspace(0, np.pi, 9), 2)
    axes = basis(turned(angles, tilts=np.repeat([0.0, 0.6], 9)), Y, X, Z)
    j, k = gauge_offsets([1.0, -2.0, 3.0], axes)
    assert rms_offsets(*without_gauge(j, k, axes)) < 1e-12
    assert rms_offsets(j, k - k.mean()) > 0.3


def test_projections_that_are_not_known_are_left_out_of_the_gauge():
    axes = random_basis(1, 6)
    j, k = gauge_offsets([1.0, 2.0, 3.0], axes)
    j[2], k[4] = np.nan, np.inf
    np.testing.assert_allclose(gauge_vector(j, k, axes), [1, 2, 3], atol=1e-9)


@given(seeds, counts)
def test_the_gauge_is_free_where_nothing_is_held(seed, count):
    free = free_gauge(random_basis(seed, count), np.zeros(count, bool), np.zeros(count, bool))
    assert free.shape == (3, 3)
    np.testing.assert_allclose(free.T @ free, np.eye(3), atol=1e-12)


@given(seeds, counts, st.integers(0, 2))
def test_a_free_movement_leaves_what_is_held(seed, count, others):
    """One projection is held in both directions, then a few along j: the ray, then nothing is left."""
    axes = random_basis(seed, count + 2)
    held_j, held_k = np.zeros((2, count + 2), bool)
    held_j[: 1 + others], held_k[0] = True, True
    free = free_gauge(axes, held_j, held_k)
    assert free.shape == (3, 0 if others else 1)
    np.testing.assert_allclose(free.T @ free, np.eye(free.shape[1]), atol=1e-12)
    dj, dk = gauge_offsets(free.sum(axis=1), axes)
    np.testing.assert_allclose(dj[held_j], 0, atol=1e-9)
    np.testing.assert_allclose(dk[held_k], 0, atol=1e-9)
    if not others:
        np.testing.assert_allclose(np.abs(free[:, 0] @ axes.p[0]), 1, atol=1e-9)


def test_along_a_common_axis_the_sample_may_move_while_the_other_direction_is_held():
    """All j held of a scan without tilt: what is left of the gauge is the height."""
    axes = basis(turned(np.linspace(0, 3, 7)), Y, X, Z)
    held = np.ones(7, bool)
    np.testing.assert_allclose(np.abs(free_gauge(axes, held, ~held)), Z[:, None], atol=1e-12)
    np.testing.assert_allclose(free_gauge(axes, ~held, held).T @ Z, [0, 0], atol=1e-12)


@given(seeds, counts)
def test_only_the_free_part_of_the_gauge_is_taken_out(seed, count):
    """The best of the movements that are allowed: no other explains more."""
    axes = random_basis(seed, count)
    random = np.random.default_rng(seed)
    j, k = random.normal(size=(2, count))
    held = np.arange(count) == 0
    free = free_gauge(axes, held, np.zeros(count, bool))
    d = gauge_vector(j, k, axes, free)
    np.testing.assert_allclose(free @ (free.T @ d), d, atol=1e-9)
    left_j, left_k = without_gauge(j, k, axes, free)
    np.testing.assert_allclose(left_j[0], j[0], atol=1e-9)
    best = rms_offsets(left_j, left_k)
    for _ in range(5):
        dj, dk = gauge_offsets(d + free @ random.normal(0, 0.1, 2), axes)
        assert rms_offsets(j - dj, k - dk) >= best - 1e-12
    assert rms_offsets(*without_gauge(j, k, axes)) <= best + 1e-12


def test_rms_offsets():
    assert rms_offsets([3, 3], [4, 4]) == pytest.approx(np.sqrt(12.5))
    assert rms_offsets([1, np.nan], [1, np.nan]) == 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("axis", "j_direction", "k_direction", "shape"),
    [
        (Z, X, Z, (5, 5, 7)),
        (X, X, Z, (5, 7, 7)),
        (X, Z, X, (7, 5, 5)),
        (Z, Z, X, (7, 7, 5)),
        (Y, X, Y, (5, 7, 5)),
        (X + 0.2 * Z, X, Z, (5, 7, 7)),
    ],
)
def test_the_default_volume_turns_within_the_detector(axis, j_direction, k_direction, shape, sign):
    for j, k in [(j_direction, k_direction), (-j_direction, k_direction), (j_direction, -k_direction)]:
        assert default_volume_shape((5, 7), sign * axis, j, k) == shape


@settings(max_examples=50)
@given(seeds, counts, st.integers(0, 19), st.floats(0.01, 0.5))
def test_a_matrix_that_is_no_rotation_is_found(seed, count, place, amount):
    rotation = Rotation.random(count, rng=seed).as_matrix()
    assert rotation_fault(rotation) is None
    place %= count
    stretched, mirrored = rotation.copy(), rotation.copy()
    stretched[place] *= 1 + amount
    mirrored[place] = -mirrored[place]
    for faulty, word in ((stretched, "not orthogonal"), (mirrored, "mirror")):
        fault = rotation_fault(faulty)
        assert fault is not None
        assert fault[0] == place
        assert word in fault[1]


def test_a_nan_is_no_rotation():
    rotation = np.stack([np.eye(3)] * 3)
    rotation[1, 0, 0] = np.nan
    assert rotation_fault(rotation)[0] == 1
