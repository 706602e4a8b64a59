"""The named cases: each is the scan that its line promises."""

import numpy as np
import pytest

from mumott_dask.errors import ScanError
from mumott_dask.simulation import CASES, simulate_case

QUICK = {"rotations": 4, "oversampling": 1, "photons": None}

TABLE = {
    "clean": 0.004,
    "jumps": 0.008,
    "dim": 0.025,
    "truncated": 0.008,
    "background": 0.008,
    "angles": 0.005,
    "instrument": 0.008,
    "combined": 0.03,
    "sparse": 0.008,
    "outliers": 0.006,
    "laminography": 0.02,
    "single_tilt": 0.006,
}


def border(scan):
    """Absorbance of the outermost pixels, (projection, pixel)."""
    absorbance = -np.log10(np.maximum(scan["diode"].values, 1e-6))
    return np.concatenate(
        [absorbance[:, 0], absorbance[:, -1], absorbance[:, :, 0], absorbance[:, :, -1]], axis=1
    )


def test_the_cases_are_those_of_the_table():
    assert {name: case.bar for name, case in CASES.items() if name != "wedge"} == TABLE
    assert (CASES["angles"].angle_bar, CASES["instrument"].angle_bar) == (0.08, 0.05)
    seeds = [case.simulation["seed"] for case in CASES.values()]
    assert len(set(seeds)) == len(CASES)
    with pytest.raises(TypeError):
        CASES["clean"] = CASES["dim"]


@pytest.mark.parametrize("name", CASES)
def test_every_case_can_be_simulated(name):
    scan = simulate_case(name, **QUICK | {"wrong": 0}, shape=(30, 26))
    assert scan.attrs["case"] == name
    tilts = len(np.unique(scan["outer_angle"]))
    assert tilts == {"sparse": 2, "laminography": 1, "single_tilt": 1, "wedge": 1}.get(name, 6)


@pytest.mark.parametrize(("name", "projections"), [("sparse", 30), ("single_tilt", 180), ("wedge", 141)])
def test_cases_have_their_number_of_projections(name, projections):
    assert simulate_case(name, shape=(14, 12), extent=0.6, oversampling=1).sizes["projection"] == projections


def test_seeds_and_changes_replace_those_of_the_case():
    first, again = (
        simulate_case("clean", shape=(24, 20), tilts=1, rotations=3, photons=50) for _ in range(2)
    )
    other = simulate_case("clean", 7, shape=(24, 20), tilts=1, rotations=3, photons=50)
    assert first.identical(again)
    assert not np.array_equal(first["j_offset_true"], other["j_offset_true"])
    assert first["diode"].max() < 100


def test_a_stage_that_jumps_by_fifteen_pixels_keeps_the_sample_in_view():
    scan = simulate_case("jumps", **QUICK)
    j, k = (scan[f"{axis}_offset_true"].values.reshape(6, 4).mean(axis=1) for axis in "jk")
    assert np.hypot(np.diff(j), np.diff(k)).max() > 12
    assert border(scan).max() < 0.05


def test_truncated_views_are_truncated():
    assert (border(simulate_case("truncated", **QUICK)) > 0.2).any(axis=1).all()
    assert (np.median(border(simulate_case("laminography", **QUICK)), axis=1) > 0.1).all()


def test_the_wedge_leaves_forty_degrees_out():
    angles = np.degrees(simulate_case("wedge", **QUICK)["inner_angle"].values)
    assert (angles.min(), angles.max()) == pytest.approx((-70, 70))


def test_outliers_name_five():
    scan = simulate_case("outliers", rotations=4, oversampling=1)
    assert scan["wrong_true"].values.sum() == 5
    faulty = (scan["diode"] == 0) | (scan["diode"] > 2.5 * 40_000)
    assert faulty.mean() == pytest.approx(0.01, abs=0.001)


def test_an_unknown_case_is_named():
    with pytest.raises(ScanError, match="there is no case 'dark', expected one of clean, jumps"):
        simulate_case("dark")
