"""Alignment of the detector's segments: scattering that adds up along the ray, absorbed on its way."""

import numpy as np
import pytest

import mumott_dask as md

SEGMENTS = 8
PHOTONS = 4000  # scattered into each segment where most is


@pytest.fixture(scope="module")
def scan():
    """Scattering of the bone's density; a diode of little contrast; segments modulated differently in each view."""
    shape = {"tilts": 3, "rotations": 15, "extent": 0.62, "jumps": 2.0, "jitter": 0.7, "drift": 0.5}
    made = md.simulate((36, 32), **shape, photons=None, flux_drift=0, seed=2)
    random = np.random.default_rng(8)
    density = np.maximum(-np.log10(made["diode"].values), 0)
    density /= density.max()
    transmission = 10 ** (-0.3 * density)
    flux = random.uniform(0.85, 1.15, (len(density), 1, 1))
    made["diode"].values[:] = random.poisson(20_000 * flux * transmission)
    angle = np.arange(SEGMENTS) * np.pi / SEGMENTS
    turn = made["inner_angle"].values[:, None, None, None] + random.normal(0, 0.1, (len(density), 1, 1, 1))
    modulation = 1 + 0.6 * np.cos(2 * (angle - turn))
    expected = PHOTONS * (flux * transmission * density)[..., None] * modulation
    made["data"] = (("projection", "j", "k", "segment"), random.poisson(expected).astype(np.float32))
    return made.assign_coords(detector_angle=("segment", angle))


def rms(alignment, scan):
    return md.compare(alignment, "truth", scan).attrs["rms"]


@pytest.fixture(scope="module")
def alignment(scan):
    return md.align(scan, variable="data")


def test_the_mean_of_the_segments_aligns(scan, alignment):
    assert alignment.attrs["converged"], alignment.attrs["reason"]
    assert rms(alignment, scan) < 0.05
    assert alignment.attrs["segment"] == "mean"
    assert alignment.attrs["transmission_corrected"]
    assert alignment["tomogram"].attrs["long_name"] == "data"
    assert alignment["residual"].attrs["units"] == "arbitrary"


@pytest.mark.parametrize("options", [{"transmission_corrected": False}, {"segment": 3}], ids=str)
def test_uncorrected_or_one_segment(scan, options):
    found = md.align(scan, variable="data", **options)
    assert rms(found, scan) < 0.05
    assert {name: found.attrs[name] for name in options} == options


def test_units_of_the_data_do_not_matter(scan, alignment):
    found = md.align(scan.assign(data=scan["data"] * np.float32(1e-7)), variable="data")
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], alignment[name], atol=0.003)


def test_phase_matching_of_the_segments(scan):
    assert rms(md.align(scan, "phase-matching", variable="data"), scan) < 0.06


def test_dask_and_numpy_agree(scan, alignment):
    found = md.align(scan.chunk(projection=13), variable="data")
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], alignment[name], atol=1e-3)


def test_it_is_written_and_read(alignment, tmp_path):
    md.write_alignment(alignment, tmp_path / "result.zarr")
    assert md.open_alignment(tmp_path / "result.zarr").attrs == alignment.attrs
