"""Scans from arrays."""

import re

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from mumott_dask import ScanError, ScanWarning, make_scan
from mumott_dask.scan.schema import validate_scan

IMAGES = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
ANGLES = np.array([0.0, 0.4, 0.8])


def test_images_and_angles_are_a_scan():
    scan = make_scan(IMAGES, ANGLES)
    assert scan["diode"].dtype == np.float32
    assert scan["diode"].attrs == {"kind": "transmission"}
    np.testing.assert_array_equal(scan["diode"], IMAGES)
    np.testing.assert_array_equal(scan["weights"], np.ones_like(IMAGES))
    np.testing.assert_allclose(
        scan["rotation"], Rotation.from_rotvec(np.outer(ANGLES, [0, 0, -1])).as_matrix()
    )
    assert not scan["j_offset"].any()
    assert scan.attrs["volume_shape"] == [4, 4, 5]
    assert "pixel_size" not in scan.attrs


def test_everything_that_can_be_said():
    scan = make_scan(
        IMAGES,
        np.degrees(ANGLES),
        tilts=[0, 0, 30],
        degrees=True,
        inner_axis=(3, 0, 0),
        outer_axis=(0, 0, 2),
        signal="additive",
        name="phase",
        weights=np.eye(4, 5),
        j_offset=[1, 2, 3],
        k_offset=0.5,
        pixel_size=0.65,
        volume_shape=(7, 8, 9),
    )
    inner = Rotation.from_rotvec(np.outer(ANGLES, [1, 0, 0]))
    outer = Rotation.from_rotvec(np.outer([0, 0, np.pi / 6], [0, 0, 1]))
    np.testing.assert_allclose(scan["rotation"], (outer * inner).as_matrix(), atol=1e-15)
    np.testing.assert_allclose(scan["inner_angle"], ANGLES)
    np.testing.assert_array_equal(scan["inner_axis"], [[1, 0, 0]] * 3)
    np.testing.assert_array_equal(scan["outer_axis"], [[0, 0, 1]] * 3)
    np.testing.assert_array_equal(scan["weights"], [np.eye(4, 5)] * 3)
    np.testing.assert_array_equal(scan["j_offset"], [1, 2, 3])
    np.testing.assert_array_equal(scan["k_offset"], [0.5] * 3)
    assert scan["phase"].attrs == {"kind": "additive"}
    assert scan.attrs["volume_shape"] == [7, 8, 9]
    assert scan.attrs["pixel_size"] == 0.65


def test_matrices_instead_of_angles():
    matrices = Rotation.from_rotvec(np.outer(ANGLES, [-1, 0, 0])).as_matrix()
    scan = make_scan(IMAGES, rotation=matrices)
    np.testing.assert_array_equal(scan["rotation"], matrices)
    assert not {"inner_angle", "outer_angle", "inner_axis", "outer_axis"} & set(scan.coords)
    assert scan.attrs["volume_shape"] == [4, 5, 5]


def test_the_inner_axis_says_how_large_the_volume_is_though_the_tilts_turn_farther():
    tilted = make_scan(IMAGES, [0.0, 0.1, 0.2], tilts=[0.0, 0.6, 1.2])
    assert tilted.attrs["volume_shape"] == [4, 4, 5]
    assert make_scan(IMAGES, rotation=tilted["rotation"]).attrs["volume_shape"] == [4, 5, 5]


def test_where_nothing_turns_the_volume_is_that_of_the_default_axis():
    assert make_scan(IMAGES, rotation=[np.eye(3)] * 3).attrs["volume_shape"] == [4, 4, 5]


def test_what_is_chunked_stays_chunked():
    images = da.from_array(IMAGES, chunks=(2, 3, 2))
    scan = make_scan(images, ANGLES, weights=np.ones((4, 5)))
    assert scan["diode"].chunks == scan["weights"].chunks == ((2, 1), (4,), (5,))
    xr.testing.assert_identical(scan.compute(), make_scan(IMAGES, ANGLES))
    xr.testing.assert_identical(make_scan(images, ANGLES).compute(), make_scan(IMAGES, ANGLES))


def test_the_arrays_given_are_left_as_they_are():
    images, weights = IMAGES.astype(float), np.ones((3, 4, 5))
    images[0, 0, 0] = np.nan
    before = images.copy()
    scan = make_scan(images, ANGLES, weights=weights, nonfinite=5)
    scan["weights"][:] = 0
    np.testing.assert_array_equal(images, before)
    assert weights.all()
    assert scan["diode"][0, 0, 0] == 5


def test_angles_that_look_like_degrees_are_questioned():
    with pytest.warns(ScanWarning, match="angles reach 90 radians: give degrees=True"):
        make_scan(IMAGES, [0, 45, 90])
    assert float(make_scan(IMAGES, [0, 45, 90], degrees=True)["inner_angle"][2]) == np.pi / 2


with_nan = np.where(np.arange(60).reshape(3, 4, 5) == 25, np.nan, 1.0)

FAULTS = [
    ((IMAGES[0], ANGLES), {}, "images is (4, 5), expected (projection, j, k)"),
    ((IMAGES.astype(str), ANGLES), {}, "images is of type <U5, expected real numbers"),
    ((IMAGES * 1j, ANGLES), {}, "images is of type complex128, expected real numbers"),
    (([[[1, 2]], [[3]]], ANGLES), {}, "images is no array (setting an array element with a sequence."),
    ((IMAGES[:1], ANGLES[:1]), {}, "has one projection alone, expected two or more"),
    (
        (with_nan, ANGLES),
        {},
        "'diode': projection 1 holds 1 NaN or infinite values of 20, expected finite ones, "
        "or a replacement: nonfinite=0",
    ),
    ((IMAGES,), {}, "neither angles nor rotation is given, expected one of them"),
    (
        (IMAGES, ANGLES),
        {"rotation": [np.eye(3)] * 3},
        "both angles and rotation are given, expected one of them",
    ),
    ((IMAGES, [0, 1]), {}, "angles is (2,), expected (3,)"),
    ((IMAGES, [0, 1, np.nan]), {}, "angles[2] is nan, expected a finite number"),
    ((IMAGES, ["0", "1", "2"]), {}, "angles is of type <U1, expected real numbers"),
    ((IMAGES, ANGLES), {"tilts": [0, 1]}, "tilts is (2,), expected (3,), or one for all: ()"),
    ((IMAGES, ANGLES), {"inner_axis": [0, 0, 0]}, "inner_axis has length 0, expected a direction"),
    ((IMAGES, ANGLES), {"outer_axis": [1, 0]}, "outer_axis is (2,), expected (3, 3), or one for all: (3,)"),
    ((IMAGES,), {"rotation": np.eye(3)}, "rotation is (3, 3), expected (3, 3, 3)"),
    (
        (IMAGES,),
        {"rotation": [np.eye(3), -np.eye(3), np.eye(3)]},
        "projection 1: 'rotation' has determinant -1 (a mirror image), expected a rotation",
    ),
    ((IMAGES, ANGLES), {"signal": "phase"}, "signal is 'phase', expected 'transmission' or 'additive'"),
    (
        (IMAGES, ANGLES),
        {"signal": "additive", "name": "diode"},
        "name is 'diode', which means something else, expected another",
    ),
    (
        (IMAGES, ANGLES),
        {"name": "rotation"},
        "name is 'rotation', which means something else, expected another",
    ),
    (
        (IMAGES, ANGLES),
        {"weights": np.ones((5, 4))},
        "weights is (5, 4), expected (3, 4, 5) as images, or one image",
    ),
    ((IMAGES, ANGLES), {"weights": np.ones(3)}, "weights is (3,), expected (projection, j, k) or (j, k)"),
    (
        (IMAGES, ANGLES),
        {"weights": np.full((4, 5), np.inf)},
        "'weights': projection 0 holds 20 NaN or infinite values of 20, expected finite ones, "
        "or a replacement: nonfinite=0",
    ),
    ((IMAGES, ANGLES), {"j_offset": [1, 2]}, "j_offset is (2,), expected (3,), or one for all: ()"),
    ((IMAGES, ANGLES), {"k_offset": np.inf}, "k_offset is inf, expected a finite number"),
    ((IMAGES, ANGLES), {"pixel_size": -1}, "'pixel_size' is -1 micrometre, expected more than 0"),
    ((IMAGES, ANGLES), {"pixel_size": np.nan}, "'pixel_size' is nan, expected a finite number"),
    (
        (IMAGES, ANGLES),
        {"volume_shape": (4, 4)},
        "'volume_shape' is [4, 4], expected three positive integers",
    ),
    (
        (IMAGES, ANGLES),
        {"k_direction_0": (0, 1, 0)},
        "'p_direction_0' [0.0, 1.0, 0.0] and 'k_direction_0' [0.0, 1.0, 0.0] are not orthogonal (product 1), "
        "expected 0",
    ),
]


@pytest.mark.parametrize(("args", "kwargs", "line"), FAULTS, ids=[line for _, _, line in FAULTS])
def test_one_line_for(args, kwargs, line):
    with pytest.raises(ScanError, match=f"^make_scan: {re.escape(line)}") as caught:
        make_scan(*args, **kwargs)
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 6), st.integers(1, 5), st.integers(1, 5)),
    dtype=st.sampled_from(["u1", "i4", "f4", ">f8", "f2"]),
    chunks=st.none() | st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)),
    axis=hnp.arrays(float, 3, elements=st.floats(-2, 2)).filter(lambda axis: np.linalg.norm(axis) > 1e-3),
    signal=st.sampled_from(["transmission", "additive"]),
    data=st.data(),
)
def test_any_stack_is_a_scan(shape, dtype, chunks, axis, signal, data):
    images = np.random.default_rng(0).uniform(0, 100, shape).astype(dtype)
    angles = data.draw(hnp.arrays(float, shape[0], elements=st.floats(-7, 7)))
    tilts = data.draw(hnp.arrays(float, shape[0], elements=st.floats(-2, 2)))
    given_images = images if chunks is None else da.from_array(images, chunks=chunks)
    scan = make_scan(given_images, angles, tilts=tilts, inner_axis=axis, signal=signal)
    validate_scan(scan)
    assert (scan.chunks == {}) == (chunks is None)
    name = "diode" if signal == "transmission" else "signal"
    np.testing.assert_array_equal(scan[name], images.astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(scan["inner_axis"], axis=1), 1)
