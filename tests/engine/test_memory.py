"""Scans and volumes that are larger than the workers: read again, in slabs, within the limit."""

import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

import mumott_dask as md
from mumott_dask import arrays, placement
from mumott_dask.absorption import air_level, without_spikes
from mumott_dask.measured import mean_and_share, signal_and_mask


@pytest.fixture
def tight(scan, tmp_path):
    """A scan in a store, and workers that have no room for its images."""
    md.write_scan(scan, tmp_path / "scan.zarr")
    limit = 5 * scan["diode"].nbytes
    with Client(
        processes=False, n_workers=2, threads_per_worker=1, memory_limit=None, dashboard_address=":0"
    ) as client:
        placement.workers()
        small = tuple(worker._replace(memory=limit) for worker in placement.workers())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(placement, "workers", lambda: small)
            yield client, md.open_scan(tmp_path / "scan.zarr", chunks=8)


def test_images_without_room_are_not_held(tight, scan):
    _, stored = tight
    data, mask = signal_and_mask(stored)
    assert arrays.is_chunked(data)
    for held in (data, mask):
        layers = held.dask.layers.values()
        assert any("read" in str(key) for layer in layers for key in layer)
    roomy, _ = signal_and_mask(scan.isel(projection=slice(0, 3)).chunk(projection=1))
    assert len(roomy.dask.layers) == 1


@pytest.mark.parametrize("volume_chunks", [None, 9])
def test_chunks_that_are_read_again_give_the_same(tight, scan, volume_chunks):
    _, stored = tight
    options = {"method": "optical-flow", "iterations": 3}
    found = md.align(stored, volume_chunks=volume_chunks, **options)
    expected = md.align(scan, **options)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)


def test_the_air_of_a_chunk_is_found_a_few_projections_at_a_time():
    """What smoothing and sorting make on the way would be several times the chunk."""
    random = np.random.default_rng(0)
    diode = random.uniform(0.5, 1, (256, 128, 160)).astype(np.float32)
    chunked = da.from_array(diode, chunks=-1)
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        air_level(without_spikes(chunked))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * diode.nbytes


def test_the_mean_over_segments_is_found_a_few_projections_at_a_time():
    """A copy of the chunk without what is not finite would be another chunk."""
    random = np.random.default_rng(0)
    data = random.normal(size=(256, 32, 40, 16)).astype(np.float32)
    chunked = da.from_array(data, chunks=-1)
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        weights = np.ones((256, 32, 40, 1), np.float32)
        found = da.compute(*arrays.images_of(mean_and_share, (np.float32,) * 2, chunked, weights))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    np.testing.assert_allclose(found[0], data.mean(axis=-1), atol=1e-6)
    assert peak < data.nbytes / 2
