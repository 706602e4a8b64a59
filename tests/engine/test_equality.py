"""The same results from any number of workers, chunks and slabs."""

import numpy as np
import pytest
from distributed import Client

import mumott_dask as md
from mumott_dask.alignment import Stage


@pytest.fixture(params=[1, 2, 4], scope="module")
def workers(request):
    """So many workers, each of them a thread of this process."""
    with Client(
        processes=False, n_workers=request.param, threads_per_worker=1, dashboard_address=":0"
    ) as client:
        yield client


@pytest.fixture(scope="module")
def expected(scan):
    return md.reconstruct(scan, iterations=6), md.align(scan, method="optical-flow", iterations=4)


@pytest.mark.parametrize(
    ("chunks", "volume_chunks"), [(4, None), (8, 5), ((20, 1, 11), 9), (32, 12), (8, "auto")], ids=str
)
def test_tomograms(workers, scan, expected, chunks, volume_chunks):
    found = md.reconstruct(scan.chunk(projection=chunks), iterations=6, volume_chunks=volume_chunks)
    assert_close(found, expected[0])


@pytest.mark.parametrize(("chunks", "volume_chunks"), [(5, None), ((20, 1, 11), 7)], ids=str)
def test_alignments(workers, scan, expected, chunks, volume_chunks):
    found = md.align(
        scan.chunk(projection=chunks), method="optical-flow", iterations=4, volume_chunks=volume_chunks
    )
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], expected[1][name], rtol=0, atol=1e-5)
    assert_close(found["tomogram"], expected[1]["tomogram"])


@pytest.mark.parametrize("method", [pytest.param("phase-matching", marks=pytest.mark.slow), "tutorial"])
def test_other_methods_in_slabs(scan, method):
    """On threads, without a cluster."""
    whole, parts = (
        md.align(scan.chunk(projection=8), method=method, iterations=2, volume_chunks=thickness)
        for thickness in (None, 7)
    )
    np.testing.assert_allclose(parts["j_offset"], whole["j_offset"], rtol=0, atol=1e-5)


def assert_close(found, expected):
    largest = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("unknown", ["refine_angles", "refine_geometry"])
def test_rotations_in_slabs(scan, unknown):
    """Turns are found in the last stage alone, which has two iterations."""
    stages = Stage("coarse", 2, 1.5, 1, 3, 2, 0.0), Stage("fine", 1, 0.7, 2, 3, 2, 0.0)
    whole, parts = (
        md.align(given, method="optical-flow", stages=stages, volume_chunks=thickness, **{unknown: True})
        for given, thickness in ((scan, None), (scan.chunk(projection=8), 5))
    )
    assert np.abs(whole["rotation"] - np.asarray(scan["rotation"])).max() > 1e-4
    np.testing.assert_allclose(parts["rotation"], whole["rotation"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(parts["j_offset"], whole["j_offset"], rtol=0, atol=1e-4)
    assert_close(parts["tomogram"], whole["tomogram"])


def test_validation_in_slabs(scan, expected):
    whole, parts = (
        md.validate(given, expected[1], iterations=4, volume_chunks=thickness)
        for given, thickness in ((scan, None), (scan.chunk(projection=16), 12))
    )
    for name in ("j_difference", "k_difference"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=0, atol=1e-4)
