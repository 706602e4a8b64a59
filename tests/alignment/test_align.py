"""Alignment against known truth: accuracy, signs, gauge, what is held, and Dask."""

import numpy as np
import pytest
import xarray as xr

import mumott_dask as md
from mumott_dask import geometry
from mumott_dask.alignment.level import centre_of_mass
from mumott_dask.scan.schema import scan_basis

SMALL = {
    "shape": (36, 32),
    "tilts": 3,
    "rotations": 15,
    "extent": 0.62,
    "jumps": 2.0,
    "jitter": 0.7,
    "drift": 0.5,
}


def rms(alignment: xr.Dataset, scan: xr.Dataset) -> float:
    return md.compare(alignment, "truth", scan).attrs["rms"]


@pytest.fixture(scope="module")
def scan() -> xr.Dataset:
    return md.simulate(**SMALL)


@pytest.fixture(scope="module")
def alignment(scan):
    return md.align(scan)


def test_default_alignment_finds_the_offsets(scan, alignment):
    assert alignment.attrs["converged"], alignment.attrs["reason"]
    assert rms(scan, scan) > 0.5
    assert rms(alignment, scan) < 0.015  # 0.0095, with noise or without


@pytest.mark.parametrize(("jumps", "bar"), [(4.0, 0.004), pytest.param(10.0, 0.008, marks=pytest.mark.slow)])
def test_accuracy_at_the_tutorials_size(jumps, bar):
    scan = md.simulate(jumps=jumps, seed=7)
    assert rms(md.align(scan), scan) < bar


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SMALL | {"shape": (45, 34)}, id="small"),
        pytest.param({"jumps": 4.0, "seed": 8}, id="the tutorial's size", marks=pytest.mark.slow),
    ],
)
def test_aligning_an_aligned_scan_moves_nothing(settings):
    """The second scan's centre of mass is moved on its way to the voxels' centre, not after the last step."""
    scan = md.simulate(**settings)
    found = md.align(scan)
    again = md.align(md.with_offsets(scan, found))
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(again[name], found[name], atol=0.002, rtol=0)


@pytest.mark.parametrize(
    "other",
    [
        {"inner_axis": (0, 0, 1)},
        {"inner_axis": (1, 0, 0)},
        {"shape": (34, 34)},
        {"shape": (45, 34)},
    ],
    ids=["axis +z", "about j", "J == K", "N == J"],
)
def test_geometries(other):
    scan = md.simulate(**SMALL | other)
    assert rms(md.align(scan), scan) < 0.015


@pytest.mark.parametrize(("method", "bar"), [("line", 0.02), ("tutorial", 0.015), ("optical-flow", 0.015)])
def test_methods(scan, method, bar):
    assert rms(md.align(scan, method=method), scan) < bar


def test_mass_gauge_puts_the_sample_in_the_middle(scan, alignment):
    j = alignment["j_offset"].values - scan["j_offset_true"].values
    k = alignment["k_offset"].values - scan["k_offset_true"].values
    moved = geometry.gauge_vector(j, k, scan_basis(scan))
    np.testing.assert_allclose(centre_of_mass(scan["tomogram_true"].values) + moved, 0, atol=0.1)


def test_fixed_offsets_come_back_bit_for_bit(scan):
    j, k = scan["j_offset_true"].values, scan["k_offset_true"].values
    noise = np.random.default_rng(0).normal(0, 0.4, (2, len(j)))
    fixed = np.arange(0, len(j), 4)
    noise[:, fixed] = 0
    start = scan.assign_coords(j_offset=("projection", j + noise[0]), k_offset=("projection", k + noise[1]))
    found = md.align(start, fixed=fixed)
    np.testing.assert_array_equal(found["j_offset"].values[fixed], j[fixed])
    np.testing.assert_array_equal(found["k_offset"].values[fixed], k[fixed])
    assert np.abs(found["j_offset"].values - j).max() < 0.05


def test_one_direction_leaves_the_other_bit_for_bit(scan):
    start = scan.assign_coords(k_offset=("projection", scan["k_offset_true"].values))
    found = md.align(start, directions="j")
    np.testing.assert_array_equal(found["k_offset"], scan["k_offset_true"])
    assert np.abs(found["j_offset"].values - scan["j_offset_true"].values).max() < 0.05


@pytest.mark.parametrize("chunks", [7, 20, 45])
def test_dask_and_numpy_agree(scan, alignment, chunks):
    found = md.align(scan.chunk(projection=chunks))
    np.testing.assert_allclose(found["j_offset"], alignment["j_offset"], atol=1e-4)
    np.testing.assert_allclose(found["k_offset"], alignment["k_offset"], atol=1e-4)


def test_a_copy_moved_by_any_vector_is_equal(scan, alignment):
    d = geometry.gauge_offsets([1.3, -20.0, 0.7], scan_basis(scan))
    moved = alignment.assign(j_offset=alignment["j_offset"] + d[0], k_offset=alignment["k_offset"] + d[1])
    assert md.compare(moved, alignment, scan).attrs["largest"] < 1e-6


def test_results_round_trip(alignment, tmp_path):
    md.write_alignment(alignment, tmp_path / "result.zarr")
    read = md.open_alignment(tmp_path / "result.zarr")
    for name in ("j_offset", "k_offset", "j_offset_history", "tomogram"):
        np.testing.assert_array_equal(read[name], alignment[name])
    assert read.attrs["converged"] == alignment.attrs["converged"]


def test_an_interrupt_returns_the_last_whole_iteration(scan):
    def interrupt(step):
        if step.iteration == 3:
            raise KeyboardInterrupt

    found = md.align(scan, watch=interrupt)
    assert found.sizes["iteration"] == 3
    assert not found.attrs["converged"]
    assert found.attrs["reason"] == "interrupted"


def test_crop_aligns_to_the_same_offsets(scan, alignment):
    cropped = md.crop(scan, j=slice(1, 36), k=slice(0, 31))
    assert rms(md.align(cropped), cropped) < 0.015


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "method is 'magic'"),
        ({"directions": "x"}, "directions is 'x'"),
        ({"tolerance": 0}, "tolerance is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"gauge": "here"}, "gauge is 'here'"),
        ({"gauge": (99, 0, 0)}, "within"),
        ({"window": ((0, 99), (0, 10))}, "window along j"),
        ({"exclude": [999]}, "exclude names projection 999"),
        ({"fixed": range(45)}, "all projections are fixed"),
    ],
)
def test_settings_that_make_no_sense(scan, arguments, message):
    with pytest.raises(md.ScanError, match=message):
        md.align(scan, **arguments)
