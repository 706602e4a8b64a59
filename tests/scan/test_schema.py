"""What is a scan and what is not, told by headers alone."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from mumott_dask import ScanError, make_scan
from mumott_dask.scan.schema import (
    detector_shape,
    holds_offsets,
    pixel_weights,
    scan_basis,
    signal_variable,
    signals,
    validate_scan,
    volume_shape,
)


@pytest.fixture
def scan(example_scan):
    return example_scan(segments=2)


def test_an_example_is_a_scan(scan):
    validate_scan(scan)


def test_no_pixel_is_loaded(scan):
    def fail(block):
        raise AssertionError("a pixel was loaded")

    lazy = scan.chunk(projection=2)
    for name in ("diode", "weights", "data", "phase"):
        lazy[name].data = lazy[name].data.map_blocks(fail, dtype=np.float32, meta=np.empty((0,), np.float32))
    validate_scan(lazy)


def with_attrs(**attrs):
    return lambda scan: scan.assign_attrs(attrs)


def with_coord(name, change):
    return lambda scan: scan.assign_coords({name: change(scan[name].copy(deep=True))})


def with_value(name, place, value):
    def change(coordinate):
        coordinate[place] = value
        return coordinate

    return with_coord(name, change)


def without(name):
    return lambda scan: scan.drop_vars(name)


def without_kind(scan):
    scan = scan.copy()
    scan["diode"].attrs = {}
    return scan


def of_kind(scan):
    scan = scan.copy()
    scan["diode"].attrs = {"kind": "emission"}
    return scan


def without_signals(scan):
    return scan.drop_vars(["diode", "phase"])


def without_attr(name):
    def change(scan):
        scan = scan.copy()
        del scan.attrs[name]
        return scan

    return change


IMAGE = "('projection', 'j', 'k')"

FAULTS = [
    (lambda scan: scan["diode"], "is a DataArray, expected a scan (an xarray.Dataset)"),
    (without_attr("schema_version"), "has no attribute 'schema_version', expected 1: is it a scan?"),
    (with_attrs(schema_version=2), "has schema version 2, this release reads 1"),
    (lambda scan: scan.isel(projection=[0]), "has one projection alone, expected two or more"),
    (
        lambda scan: scan.isel(projection=[]),
        "has no 'projection' dimension, or one of size 0, expected 'projection', 'j', 'k'",
    ),
    (
        lambda scan: scan.isel(j=0),
        "has no 'j' dimension, or one of size 0, expected 'projection', 'j', 'k'",
    ),
    (without_kind, "'diode' has no attribute 'kind', expected 'transmission'"),
    (of_kind, "'diode' is of kind 'emission', expected 'transmission', 'additive'"),
    (without_signals, "has no signal (a variable with attribute 'kind'), expected 'diode' or another"),
    (without("weights"), f"has no 'weights', expected them with dims {IMAGE} (1 masks nothing)"),
    (
        lambda scan: scan.assign(diode=scan["diode"].transpose("projection", "k", "j")),
        f"'diode' has dims ('projection', 'k', 'j'), expected {IMAGE}",
    ),
    (
        lambda scan: scan.assign(diode=scan["diode"].astype(int)),
        "'diode' is of type int64, expected float32",
    ),
    (
        lambda scan: scan.assign(weights=scan["weights"].astype(bool)),
        "'weights' is of type bool, expected float32",
    ),
    (
        lambda scan: scan.assign(data=scan["data"][..., 0]),
        f"'data' has dims {IMAGE}, expected ('projection', 'j', 'k', 'segment')",
    ),
    (
        lambda scan: scan.assign(tomogram_true=scan["tomogram_true"].transpose("z", "y", "x")),
        "'tomogram_true' has dims ('z', 'y', 'x'), expected ('x', 'y', 'z')",
    ),
    (without("rotation"), "has no coordinate 'rotation', expected one of dims ('projection', 'row', 'col')"),
    (without("j_offset"), "has no coordinate 'j_offset', expected one of dims ('projection',)"),
    (without("projection"), "has no coordinate 'projection', expected one of dims ('projection',)"),
    (
        lambda scan: scan.assign_coords(projection=[0, 1, 2, 3, 4, 5, 5]),
        "projection 5 is there twice, expected unique labels",
    ),
    (
        lambda scan: scan.assign_coords(projection=np.arange(7) / 2),
        "'projection' is of type float64, expected integers",
    ),
    (
        lambda scan: scan.assign_coords(k_offset=("projection", np.arange(7))),
        "'k_offset' is of type int64, expected float64",
    ),
    (
        lambda scan: scan.isel(xyz=slice(2)),
        "'inner_axis' has 2 along 'xyz', expected 3",
    ),
    (
        lambda scan: scan.assign_coords(inner_angle=("segment", np.zeros(2))),
        "'inner_angle' has dims ('segment',), expected ('projection',)",
    ),
    (with_value("j_offset", 3, np.nan), "projection 3: 'j_offset' is nan, expected a finite number"),
    (with_value("detector_angle", 1, np.inf), "segment 1: 'detector_angle' is inf, expected a finite number"),
    (
        with_value("outer_axis", 2, [0.0, 0.0, 0.0]),
        "projection 2: 'outer_axis' is [0.0, 0.0, 0.0], of length 0, expected length 1",
    ),
    (
        with_value("rotation", 4, -np.eye(3)),
        "projection 4: 'rotation' has determinant -1 (a mirror image), expected a rotation",
    ),
    (
        with_value("rotation", 4, np.diag([1, 1, 1.1])),
        "projection 4: 'rotation' is not orthogonal (R @ R.T is off the identity by 0.21), "
        "expected a rotation",
    ),
    (
        without_attr("k_direction_0"),
        "has no attribute 'k_direction_0', expected a direction such as (0.0, 0.0, 1.0)",
    ),
    (with_attrs(j_direction_0=[1, 0]), "'j_direction_0' is [1, 0], expected three numbers"),
    (with_attrs(j_direction_0="x"), "'j_direction_0' is 'x', expected three numbers"),
    (
        with_attrs(p_direction_0=[0, 2, 0]),
        "'p_direction_0' is [0.0, 2.0, 0.0], of length 2, expected length 1",
    ),
    (
        with_attrs(k_direction_0=[1, 0, 0]),
        "'j_direction_0' [1.0, 0.0, 0.0] and 'k_direction_0' [1.0, 0.0, 0.0] are not orthogonal (product 1), "
        "expected 0",
    ),
    (without_attr("volume_shape"), "'volume_shape' is None, expected three positive integers"),
    (with_attrs(volume_shape=[4, 4.5, 3]), "'volume_shape' is [4, 4.5, 3], expected three positive integers"),
    (with_attrs(volume_shape=[4, -4, 3]), "'volume_shape' is [4, -4, 3], expected three positive integers"),
    (with_attrs(pixel_size=0.0), "'pixel_size' is 0.0 micrometre, expected more than 0"),
    (with_attrs(pixel_size="2 um"), "'pixel_size' is '2 um', expected a finite number"),
    (with_attrs(two_theta=np.nan), "'two_theta' is nan, expected a finite number"),
    (
        lambda scan: scan.chunk(k=2),
        "'diode' has 3 chunks along 'k', expected chunks along projection alone",
    ),
]


@pytest.mark.parametrize(("change", "line"), FAULTS, ids=[line for _, line in FAULTS])
def test_one_line_for(scan, change, line):
    with pytest.raises(ScanError) as caught:
        validate_scan(change(scan), "here")
    assert str(caught.value) == f"here: {line}"


def test_errors_name_the_label_of_the_projection(scan):
    faulty = with_value("j_offset", 3, np.nan)(scan).assign_coords(projection=np.arange(7) * 10)
    with pytest.raises(ScanError, match="projection 30: 'j_offset' is nan"):
        validate_scan(faulty)


def test_which_signal(scan):
    assert signals(scan) == ["diode", "phase"]
    assert signal_variable(scan) == "diode"
    assert signal_variable(scan, "phase") == "phase"
    assert signal_variable(scan.drop_vars("diode")) == "phase"
    with pytest.raises(ScanError, match="no signal 'weights', it has 'diode', 'phase'"):
        signal_variable(scan, "weights")
    two = scan.assign(iron=scan["phase"]).drop_vars("diode")
    with pytest.raises(ScanError, match="has the signals 'phase', 'iron': say which"):
        signal_variable(two)


def test_offsets_that_are_held():
    scan = make_scan(np.ones((3, 4, 5)), np.arange(3))
    assert not holds_offsets(scan)
    assert holds_offsets(make_scan(np.ones((3, 4, 5)), np.arange(3), k_offset=[0, 0, 0.5]))
    assert detector_shape(scan) == (4, 5)
    assert volume_shape(scan) == (4, 4, 5)


def test_the_basis_of_a_scan_turns_with_its_directions(scan):
    plain = scan_basis(scan)
    np.testing.assert_allclose(np.cross(plain.p, plain.u), -plain.w, atol=1e-12)
    swapped = scan_basis(scan.assign_attrs(j_direction_0=[0, 0, 1], k_direction_0=[1, 0, 0]))
    np.testing.assert_array_equal(swapped.u, plain.w)
    np.testing.assert_array_equal(swapped.w, plain.u)


def test_a_pixels_weight_is_that_of_its_best_segment(scan):
    xr.testing.assert_identical(pixel_weights(scan), scan["weights"])
    deep = scan["weights"] * xr.DataArray([0.25, 0.5], dims="segment")
    masked = scan.assign(weights=deep.transpose("projection", "j", "k", "segment").astype(np.float32))
    validate_scan(masked)
    np.testing.assert_array_equal(pixel_weights(masked), scan["weights"] / 2)
    assert isinstance(pixel_weights(masked.chunk(projection=2)).data, da.Array)
