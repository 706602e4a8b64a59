from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mumott_dask.compat import Geometry
from mumott_dask.compat.core.geometry import GeometryTuple
from mumott_dask.compat.pipelines.utilities.alignment_geometry import (
    get_alignment_geometry,
    shift_center_of_reconstruction,
)


def three_projections():
    geometry = Geometry()
    for axis, angle in (("y", 0), ("y", np.pi / 4), ("z", np.pi / 4)):
        geometry.append(GeometryTuple(rotation=Rotation.from_euler(axis, angle).as_matrix()))
    geometry.projection_shape, geometry.volume_shape = (5, 4), (5, 5, 4)
    return geometry


def test_fields_can_be_set_whole_and_one_by_one():
    geometry = three_projections()
    before = geometry.j_offsets
    geometry.j_offsets = np.arange(3.0)
    geometry.j_offsets[2] = 7.0
    assert before == [0, 0, 0]
    assert geometry.j_offsets == [0, 1, 7]
    assert geometry[2].j_offset == 7
    np.testing.assert_array_equal(geometry.j_offsets_as_array, [0, 1, 7])
    geometry[1] = geometry[1]._replace(k_offset=4.0)
    assert geometry.k_offsets == [0, 4, 0]
    del geometry[0]
    assert len(geometry) == 2
    assert geometry.k_offsets == [4, 0]


def test_angles_and_axes_turn_the_projections():
    geometry = three_projections()
    geometry.inner_angles, geometry.outer_angles = [0.1, 0.2, 0.3], [0.0, 0.0, 0.5]
    geometry.inner_axes = (0, 0, -2)
    assert geometry.rotations[1][0, 1] == 0  # an axis is not known yet
    geometry.outer_axes = (1, 0, 0)
    expected = Rotation.from_rotvec([0.5, 0, 0]) * Rotation.from_rotvec([0, 0, -0.3])
    np.testing.assert_allclose(geometry.rotations[2], expected.as_matrix())


def test_the_reconstruction_turns_from_the_right_and_the_system_from_the_left():
    geometry, a = three_projections(), Rotation.from_euler("x", 0.3).as_matrix()
    own = geometry.rotations_as_array
    geometry.rotate_reconstruction(a)
    np.testing.assert_allclose(geometry.rotations_as_array, own @ a)
    np.testing.assert_allclose(geometry[1].rotation, own[1] @ a)
    with pytest.raises(ValueError, match="can't be set"):
        geometry.rotations = own
    geometry.rotate_system_vectors(axis=[0, 0, 1], angle=0.4)
    geometry.rotate_system_vectors(axis=[1, 0, 0], angle=0.2)
    turned = Rotation.from_rotvec([0.2, 0, 0]) * Rotation.from_rotvec([0, 0, 0.4])
    for name, direction in (("p", [0, 1, 0]), ("j", [1, 0, 0]), ("k", [0, 0, 1])):
        np.testing.assert_allclose(getattr(geometry, f"{name}_direction_0"), turned.apply(direction))
    with pytest.raises(ValueError, match="can't be set"):
        geometry.p_direction_0 = (1, 0, 0)


@pytest.mark.parametrize("full_circle", [True, False])
def test_a_file_gives_back_what_was_written(tmp_path, full_circle):
    geometry = three_projections()
    geometry.j_offsets, geometry.two_theta = [0.5, -1, 2], np.array([0.1, 0.2])
    geometry.detector_angles, geometry.full_circle_covered = np.array([0.1, 0.6]), full_circle
    geometry.write(tmp_path / "a.mumott")
    geometry.write(tmp_path / "a.mumott")
    read = Geometry(tmp_path / "a.mumott")
    assert read.j_offsets == geometry.j_offsets
    assert read.full_circle_covered == full_circle
    assert read.inner_angles == [None] * 3
    for name in ("rotations_as_array", "volume_shape", "projection_shape", "two_theta", "detector_angles"):
        np.testing.assert_array_equal(getattr(read, name), getattr(geometry, name))
    assert hash(read) == hash(geometry)
    geometry.k_offsets[1] += 1e-9
    assert hash(read) != hash(geometry)


def test_segments_probe_arcs_that_meet_and_turn_with_the_sample():
    geometry = three_projections()
    geometry.detector_angles = np.linspace(0, np.pi, 4, endpoint=False) + 0.2
    geometry.full_circle_covered = False
    found = geometry.probed_coordinates
    assert found.vector.shape == (3, 4, 3, 3)
    np.testing.assert_allclose(found.vector[0, :-1, 2], found.vector[0, 1:, 0])
    np.testing.assert_allclose(found.vector[0, -1, 2], -found.vector[0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found.vector[0, 1, 1], [np.cos(0.2 + np.pi / 4), 0, np.sin(0.2 + np.pi / 4)])
    np.testing.assert_allclose(found.vector[1, 2, 1], geometry.rotations[1].T @ found.vector[0, 2, 1])
    np.testing.assert_allclose(found.to_spherical[0], 1)
    geometry.two_theta = np.array([0.0, 0.6])
    wide = geometry.probed_coordinates
    assert wide.vector.shape == (3, 8, 3, 3)
    np.testing.assert_allclose(wide.vector[:, :4], found.vector)
    np.testing.assert_allclose(wide.vector[0, 4:, :, 1], -np.sin(0.3))
    np.testing.assert_allclose(np.linalg.norm(wide.vector, axis=-1), 1)


@pytest.mark.parametrize(("axis", "along"), [((0, 0, -1), 1), ((0, 0, 1), 1), ((-1, 0, 0), 0)])
def test_the_rotation_axis_is_found_whatever_its_sign_and_the_lengths(container, axis, along):
    geometry = container.geometry
    geometry.volume_shape = (25, 25, 25)  # no length tells one axis from another
    geometry.inner_axes = axis
    assert get_alignment_geometry(container)[0] == along
    geometry.delete_projections()
    for angle in np.linspace(0, 1, 5):
        geometry.append(GeometryTuple(rotation=Rotation.from_rotvec(angle * np.array(axis)).as_matrix()))
    assert get_alignment_geometry(container)[0] == along


def test_moving_the_sample_is_what_mumotts_manual_says_it_is():
    geometry = three_projections()
    shift_center_of_reconstruction(geometry, (-5.0, 1.7, 3.0))
    np.testing.assert_allclose(geometry.j_offsets, [-5, -1.4142136, -4.7376154], atol=1e-6)
    np.testing.assert_allclose(geometry.k_offsets, [3, 5.6568542, 3], atol=1e-6)
