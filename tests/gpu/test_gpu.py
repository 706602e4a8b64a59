"""On a real GPU: what comes out is what comes out of the CPU."""

import importlib.util
import sys
from pathlib import Path

import dask
import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import cluster, devices
from mumott_dask.simulation import simulate_case

pytestmark = pytest.mark.gpu
PROJECTOR = Path(__file__).parents[1] / "projector"


@pytest.fixture(scope="module")
def scan():
    return md.simulate(shape=(30, 26), tilts=3, rotations=16, jumps=2, seed=5)


def test_the_kernels_agree_with_those_of_the_cpu(monkeypatch):
    import cupy

    monkeypatch.syspath_prepend(str(PROJECTOR))
    from cuda_beside_cpu import differences

    assert max(differences(cupy.asarray, cupy.asnumpy).values()) < 1e-5
    sys.modules.pop("cuda_beside_cpu")


def test_it_is_chosen_where_it_is_there(scan):
    assert devices.on_gpu(scan, "auto")
    assert not devices.on_gpu(scan, "cpu")


OPTIONS = [
    {},
    {"background": "linear"},
    {"refine_angles": True, "refine_geometry": True, "background": "constant"},
    {"method": "phase-matching"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=["offsets", "background", "angles", "phase-matching"])
def test_an_alignment_is_that_of_the_cpu(scan, options):
    there, here = (md.align(scan, backend=backend, **options) for backend in ("gpu", "cpu"))
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(there[name], here[name], atol=5e-4)
    np.testing.assert_allclose(there["j_offset_std"], here["j_offset_std"], rtol=1e-2)
    assert isinstance(there["tomogram"].data, np.ndarray)


def test_views_that_cut_the_sample():
    scan = simulate_case("truncated")
    there, here = (md.align(scan, backend=backend, iterations=4) for backend in ("gpu", "cpu"))
    np.testing.assert_allclose(there["j_offset"], here["j_offset"], atol=1e-3)


def test_a_tomogram_is_that_of_the_cpu(scan):
    there, here = (md.reconstruct(scan, backend=backend) for backend in ("gpu", "cpu"))
    assert isinstance(there.data, np.ndarray)
    np.testing.assert_allclose(there, here, atol=1e-4 * float(here.max()))


@pytest.mark.skipif(importlib.util.find_spec("dask_cuda") is None, reason="dask-cuda is not installed")
def test_chunks_on_a_cluster_of_gpus(scan):
    here = md.align(scan, backend="cpu")
    tomogram = md.reconstruct(scan, backend="cpu")
    with cluster.cuda(dashboard_address=None) as client:
        assert set(client.nthreads().values()) == {1}
        assert set(client.run(dask.config.get, "distributed.worker.profile.cycle").values()) == {"10s"}
        chunked = scan.chunk(projection=12)
        there = md.align(chunked, backend="gpu")
        assert devices.on_gpu(chunked, "auto")
        volume = md.reconstruct(chunked, backend="gpu")
    np.testing.assert_allclose(there["j_offset"], here["j_offset"], atol=5e-4)
    np.testing.assert_allclose(there["k_offset"], here["k_offset"], atol=5e-4)
    np.testing.assert_allclose(volume, tomogram, atol=1e-4 * float(tomogram.max()))
