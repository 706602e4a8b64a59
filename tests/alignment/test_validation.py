"""Trust without truth: verdicts on good alignments and on wrong ones, and Fourier shell correlation."""

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.alignment.fourier_shells import shell_correlation

SMALL = {"shape": (36, 32), "tilts": 3, "rotations": 15, "extent": 0.62, "jumps": 1.0, "seed": 5}


@pytest.fixture(scope="module")
def scan():
    return md.simulate(**SMALL)


@pytest.fixture(scope="module")
def alignment(scan):
    return md.align(scan)


@pytest.fixture(scope="module")
def checked(scan, alignment):
    return md.validate(scan, alignment)


def test_a_good_alignment_is_called_good(checked):
    assert checked.attrs["verdict"] == "good", checked.attrs["reason"]
    assert 0.8 < checked.attrs["ratio_std"] < 1.25


def test_dask_and_numpy_agree(scan, alignment):
    seen = []
    plain = md.validate(scan, alignment, iterations=8)
    chunked = md.validate(
        scan.chunk(projection=20), alignment, iterations=8, watch=lambda *step: seen.append(step[0])
    )
    np.testing.assert_allclose(chunked["j_difference"], plain["j_difference"], atol=1e-4)
    assert seen == list(range(1, 14))


def test_offsets_off_by_a_third_of_a_pixel_are_bad(scan, alignment):
    noise = np.random.default_rng(0).normal(0, 0.3, (2, scan.sizes["projection"]))
    moved = alignment.assign(
        j_offset=alignment["j_offset"] + noise[0], k_offset=alignment["k_offset"] + noise[1]
    )
    assert md.validate(scan, moved).attrs["verdict"] == "bad"


@pytest.mark.slow
def test_one_wrong_offset_is_named(scan, alignment):
    j = alignment["j_offset"].copy()
    j[14] += 0.5
    found = md.validate(scan, alignment.assign(j_offset=j)).attrs
    assert found["verdict"] != "good"
    assert found["wrong"] == [14], found["reason"]


@pytest.mark.slow
def test_errors_stated_too_small_are_called_so(scan, alignment, checked):
    small = alignment.assign({f"{axis}_offset_std": alignment[f"{axis}_offset_std"] / 2.5 for axis in "jk"})
    found = md.validate(scan, small).attrs
    assert found["ratio_std"] == pytest.approx(2.5 * checked.attrs["ratio_std"])
    assert "understated by a factor" in found["reason"]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"angle_error": np.radians(1.0)}, "refine_"),
        pytest.param({"background": 0.05}, "background", marks=pytest.mark.slow),
    ],
)
def test_what_was_left_out_is_named(fault, word):
    scan = md.simulate(**SMALL, **fault)
    found = md.validate(scan, md.align(scan)).attrs
    assert found["verdict"] != "good"
    assert word in found["reason"]


def test_shells_of_noise_do_not_correlate():
    a, b = np.random.default_rng(3).normal(size=(2, 32, 30, 28)).astype(np.float32)
    found = shell_correlation(a, b)
    assert np.all(found.correlation[3:] < found.half_bit[3:])
    np.testing.assert_allclose(shell_correlation(a, a).correlation, 1)
    assert shell_correlation(a, a).resolution == 2.0
