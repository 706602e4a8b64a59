"""Options that combine: what is held comes back bit for bit, chunks change nothing, results can be kept and applied."""

import json

import numpy as np
import pytest
import xarray as xr

import mumott_dask as md
from mumott_dask import geometry
from mumott_dask.alignment import Stage
from mumott_dask.scan.schema import scan_basis

SMALL = {"shape": (36, 32), "tilts": 3, "rotations": 14, "jumps": 1.5, "jitter": 0.6, "drift": 0.4}
FAULTY = SMALL | {"angle_error": np.radians(0.5), "axis_error": (0.03, 0.015), "background": 0.02, "seed": 5}
FIXED, EXCLUDED = [0, 7, 20], [3, 30]
EVERYTHING = {"refine_angles": True, "refine_geometry": True, "background": "linear"}


@pytest.fixture(scope="module")
def scan():
    """Angles, instrument and air level are off. It starts from offsets that are off by a tenth of a pixel."""
    made = md.simulate(**FAULTY)
    j, k = np.random.default_rng(0).normal(0, 0.1, (2, made.sizes["projection"]))
    return made.assign_coords(
        j_offset=("projection", made["j_offset_true"].values + j),
        k_offset=("projection", made["k_offset_true"].values + k),
    )


@pytest.fixture(scope="module")
def refined(scan):
    return md.align(scan, method="optical-flow", **EVERYTHING, iterations=8)


def rest(scan, *left_out):
    return np.delete(np.arange(scan.sizes["projection"]), np.concatenate([[], *left_out]).astype(int))


def assert_equal_at(found, scan, labels, *names):
    for name in names:
        np.testing.assert_array_equal(found[name].values[labels], scan[name].values[labels])


@pytest.mark.parametrize("gauge", ["keep", "mass", (1.0, -0.5, 0.5)], ids=str)
@pytest.mark.parametrize("options", [{"refine_angles": True}, EVERYTHING], ids=["angles", "everything"])
def test_fixed_offsets_come_back_bit_for_bit_whatever_is_refined(scan, options, gauge):
    found = md.align(scan, fixed=FIXED, gauge=gauge, method="optical-flow", iterations=4, **options)
    assert_equal_at(found, scan, FIXED, "j_offset", "k_offset")
    moved = rest(scan, FIXED)
    for name in ("j_offset", "k_offset"):
        assert (found[name].values[moved] != scan[name].values[moved]).all()


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("line", {}),
        ("auto", {}),
        ("auto", {"refine_angles": True}),
        ("auto", EVERYTHING),
        ("optical-flow", EVERYTHING),
    ],
    ids=str,
)
def test_an_excluded_projection_keeps_its_offsets(scan, method, options):
    spoilt = scan.copy(deep=True)
    noise = np.random.default_rng(1).poisson(700, (2, 36, 32))
    spoilt["diode"].values[EXCLUDED] = noise  # nothing in them that could be used
    found = md.align(spoilt, method, exclude=EXCLUDED, iterations=6, **options)
    assert_equal_at(found, scan, EXCLUDED, "j_offset", "k_offset")
    others = rest(scan, EXCLUDED)
    assert (found["j_offset"].values[others] != scan["j_offset"].values[others]).all()
    for name in ("j_offset_history", "k_offset_history"):
        assert not np.ptp(found[name].values[:, EXCLUDED], axis=0).any()


def test_what_an_excluded_projection_shows_does_not_matter(scan):
    spoilt = scan.copy(deep=True)
    spoilt["diode"].values[EXCLUDED] = spoilt["diode"].values[EXCLUDED[::-1], ::-1]
    one, other = (
        md.align(each, "optical-flow", exclude=EXCLUDED, refine_angles=True, iterations=4)
        for each in (scan, spoilt)
    )
    for name in ("j_offset", "k_offset", "rotation", "tomogram"):
        np.testing.assert_array_equal(one[name], other[name])


def test_one_direction_with_angles_leaves_the_other_bit_for_bit(scan):
    start = scan.assign_coords(k_offset=("projection", scan["k_offset_true"].values))
    found = md.align(start, "optical-flow", directions="j", **EVERYTHING)
    np.testing.assert_array_equal(found["k_offset"], scan["k_offset_true"])
    assert not found["k_offset_std"].any()
    before, after = (
        np.sqrt(np.mean((each["j_offset"].values - scan["j_offset_true"].values) ** 2))
        for each in (start, found)
    )
    assert after < 0.2 * before
    turned = found["rotation"].values != scan["rotation"].values
    assert turned.any(axis=(1, 2)).all()


OPTIONS = {
    "background": {"background": "linear"},
    "angles": {"refine_angles": True},
    "instrument": {"refine_geometry": True},
    "everything": EVERYTHING,
}


@pytest.mark.parametrize("options", OPTIONS)
def test_dask_and_numpy_agree(scan, options):
    """In all stages: to what sums in another order leave."""
    expected, found = (
        md.align(each, "optical-flow", iterations=6, **OPTIONS[options])
        for each in (scan, scan.chunk(projection=15))
    )
    assert expected["stage"].values[-1] == "smoothed by 0.5 px"
    assert found.sizes == expected.sizes
    for name in ("j_offset", "k_offset", "background", "rotation"):
        if name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4)
    for name in ("j_offset_std", "k_offset_std", "rotation_std"):
        if name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=0.01)
    assert found.attrs == expected.attrs


@pytest.mark.parametrize("options", [{}, {"refine_angles": True}], ids=["offsets", "angles"])
def test_what_has_not_converged_says_so(scan, options):
    found = md.align(scan, iterations=2, **options)
    assert found.sizes["iteration"] == 2
    assert not found.attrs["converged"]
    assert "2 iterations ended in stage" in found.attrs["reason"]
    assert "tolerance 0.001 px" in found.attrs["reason"]
    assert np.isfinite(found["j_offset_std"]).all()


def test_what_has_converged_could_not_do_better_by_more(scan):
    once = md.align(scan, "optical-flow", refine_angles=True, refine_geometry=True)
    assert once.attrs["converged"], once.attrs["reason"]
    assert (once["largest_step"].values[-2:] < once.attrs["tolerance"]).all()


def test_results_with_rotations_round_trip(refined, tmp_path):
    md.write_alignment(refined, tmp_path / "result.zarr")
    read = md.open_alignment(tmp_path / "result.zarr")
    assert set(read.variables) == set(refined.variables)
    for name in refined.variables:
        np.testing.assert_array_equal(read[name], refined[name], err_msg=name)
        assert read[name].dims == refined[name].dims
    assert read.attrs == refined.attrs


def test_what_is_refined_is_there_with_its_errors_and_nothing_else(scan, refined):
    assert refined["rotation"].dims == ("projection", "row", "col")
    assert refined["rotation_std"].dims == ("projection", "xyz")
    assert geometry.rotation_fault(refined["rotation"].values, 1e-9) is None
    assert (refined["rotation_std"] > 0).all()
    plain = md.align(scan, iterations=1)
    assert not {"rotation", "rotation_std", "background"} & set(plain.variables)
    constant = md.align(scan, background="constant", iterations=1)
    assert constant["background"].shape == (42, 1)


@pytest.mark.parametrize("by_path", [False, True], ids=["dataset", "path"])
def test_rotations_are_applied_by_label(scan, refined, tmp_path, by_path):
    source = refined
    if by_path:
        source = tmp_path / "result.zarr"
        md.write_alignment(refined, source)
    some = scan.isel(projection=[30, 2, 11])
    applied = md.with_offsets(some, source)
    for name in ("j_offset", "k_offset", "rotation"):
        np.testing.assert_array_equal(applied[name], refined[name].values[[30, 2, 11]])
        assert applied[name].dims == scan[name].dims
    xr.testing.assert_identical(some["rotation"], scan["rotation"].isel(projection=[30, 2, 11]))
    np.testing.assert_array_equal(
        scan_basis(applied).p, np.swapaxes(refined["rotation"].values[[30, 2, 11]], 1, 2) @ [0, 1, 0]
    )


def test_an_aligned_scan_explains_more_with_its_rotations(scan):
    """Of the residual of a reconstruction, beside that with the offsets alone."""
    made = md.simulate(**SMALL, angle_error=np.radians(1.5), seed=5)
    found = md.align(made, refine_angles=True)
    losses = []
    for each in (md.with_offsets(made, found), md.with_offsets(made, found[["j_offset", "k_offset"]])):
        md.reconstruct(each, iterations=20, watch=lambda *step: losses.append(step[2]))
    assert losses[19] < 0.7 * losses[39]


def test_a_scan_that_is_aligned_with_its_angles_stays(scan):
    """Rotations that were found are where the next alignment starts."""
    made = md.simulate(**SMALL, angle_error=np.radians(0.5), seed=6)
    found = md.align(made, refine_angles=True)
    again = md.align(md.with_offsets(made, found), refine_angles=True)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(again[name], found[name], rtol=0, atol=0.004)
    np.testing.assert_allclose(again["rotation"], found["rotation"], rtol=0, atol=np.radians(0.05))


@pytest.mark.parametrize(
    "options", [{"refine_angles": True}, {"refine_angles": True, "refine_geometry": True}], ids=str
)
def test_fixed_and_excluded_projections_keep_their_rotations(options):
    scan = md.simulate(**SMALL, angle_error=np.radians(0.5))
    found = md.align(scan, fixed=[0, 7], exclude=[3], iterations=8, **options)
    np.testing.assert_array_equal(found["rotation"].values[[0, 7, 3]], scan["rotation"].values[[0, 7, 3]])


def test_the_turn_of_the_instrument_comes_with_its_standard_error(tmp_path):
    scan = md.simulate(**SMALL, axis_error=(np.radians(1), np.radians(0.5)))
    found = md.align(scan, refine_geometry=True)
    assert found["instrument_std"].dims == ("xyz",)
    assert (found["instrument_std"] > 0).all()
    assert (found["instrument_std"] < np.radians(0.1)).all()
    assert "instrument_std" not in md.align(scan, iterations=1)
    md.write_alignment(found, tmp_path / "result.zarr")
    np.testing.assert_array_equal(
        md.open_alignment(tmp_path / "result.zarr")["instrument_std"], found["instrument_std"]
    )


def test_stages_are_those_that_are_asked_for(scan):
    own = [Stage("coarse", 2, 2.0, 3, 6, 4, 0.3), Stage("fine", 1, 0.7, 4, 12, 8, 0.01)]
    found = md.align(scan, method="optical-flow", stages=own, tolerance=0.01)
    named = found["stage"].values.tolist()
    assert set(named) == {"coarse", "fine"}
    assert named.count("fine") <= 4
    assert json.loads(found.attrs["stages"]) == [vars(stage) for stage in own]
    for stages, line in (((), "is empty"), ([Stage("none", 1, 0.5, 0, 1, 1, 0.1)], "'none' has")):
        with pytest.raises(md.ScanError, match=line):
            md.align(scan, method="optical-flow", stages=stages)
    with pytest.raises(md.ScanError, match="which has none"):
        md.align(scan, method="line", stages=own)
