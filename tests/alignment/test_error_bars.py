"""Standard errors against true errors: small forms of the named cases, where 2,000 photons rule the errors."""

from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import mumott_dask as md
from mumott_dask.simulation import CASES, simulate_case

SMALL = {
    "shape": (40, 34),
    "tilts": 3,
    "rotations": 20,
    "jumps": 2.0,
    "jitter": 0.7,
    "drift": 0.5,
    "photons": 2000,
}
SINGLE = {"tilts": 1, "rotations": 60}
CHANGES = {
    "jumps": {"jumps": 8.0, "extent": 0.5},
    "dim": {"photons": 300},
    "sparse": {"tilts": 2, "rotations": 15},
    "outliers": {"wrong": 3},
    "laminography": SINGLE,
    "single_tilt": SINGLE,
    "wedge": SINGLE,
}
WHOLE = [name for name in CASES if name not in ("truncated", "combined")]


@cache
def aligned(name):
    scan = simulate_case(name, **SMALL | CHANGES.get(name, {}))
    return scan, md.align(scan, **CASES[name].alignment)


def ratios(name):
    """True errors over stated ones, of both offsets of all projections that are not wrong."""
    scan, found = aligned(name)
    compared = md.compare(found, "truth", scan)
    good = ~np.isin(scan["projection"], compared.attrs["wrong"])
    parts = [compared[f"{axis}_difference"] / found[f"{axis}_offset_std"] for axis in "jk"]
    return np.concatenate([part.values[good] for part in parts])


@pytest.mark.parametrize("name", WHOLE)
def test_the_errors_of_a_case_are_those_it_states(name):
    ratio = ratios(name)
    assert 0.75 < ratio.std() < 1.25
    assert (np.abs(ratio) < 2).mean() > 0.88


def test_two_standard_errors_hold_most_of_all_cases_errors():
    inside = np.concatenate([np.abs(ratios(name)) < 2 for name in WHOLE])
    assert inside.size > 1000
    assert 0.9 < inside.mean() < 0.99


def test_fewer_photons_are_worth_what_they_should_be():
    """A quarter of the photons: twice the error, where they rule it."""
    stated = []
    for photons in (1600, 400):
        scan = simulate_case("clean", **SMALL | {"photons": photons})
        found = md.align(scan)
        stated.append(np.sqrt(np.mean(found["j_offset_std"] ** 2 + found["k_offset_std"] ** 2)))
    assert stated[1] / stated[0] == pytest.approx(2, rel=0.15)


def test_angles_are_off_by_what_is_stated():
    """Each component of each projection's own turn, a common one of the sample taken out."""
    scan, found = aligned("angles")
    assert found["rotation_std"].dims == ("projection", "xyz")
    between = Rotation.from_matrix(np.swapaxes(scan["rotation_true"].values, 1, 2) @ found["rotation"].values)
    ratio = (between * between.mean().inv()).as_rotvec() / found["rotation_std"].values
    assert 0.7 < ratio.std() < 1.3
    assert (np.abs(ratio) < 2).mean() > 0.88


def test_held_offsets_have_no_error():
    scan = simulate_case("clean", **SMALL)
    found = md.align(scan, fixed=[3], exclude=[5], directions="j", iterations=2)
    assert not found["k_offset_std"].any()
    assert not found["j_offset_std"][[3, 5]].any()
    assert (np.delete(found["j_offset_std"].values, [3, 5]) > 0.001).all()
