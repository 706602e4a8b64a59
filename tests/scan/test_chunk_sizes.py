"""How many projections a chunk holds: work for every thread, memory for every chunk."""

import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumott_dask import make_scan, open_scan, write_scan
from mumott_dask.scan.chunk_sizes import Capacity, chunk_length

MB = 2**20


@given(
    projections=st.integers(2, 100_000),
    size=st.integers(1, 2**28),
    threads=st.integers(1, 5000),
    memory=st.one_of(st.just(math.inf), st.integers(2**20, 2**40)),
)
def test_no_thread_is_left_without_work_and_no_chunk_is_too_large(projections, size, threads, memory):
    length = chunk_length(projections, size, Capacity(threads, memory))
    assert 1 <= length <= projections
    assert length == 1 or length * size <= min(max(memory - 256 * MB, memory / 2) / 16, 128 * MB)
    assert length <= math.ceil(projections / threads)  # so that as many threads have work as can have
    for_each = math.ceil(math.ceil(projections / length) / threads)
    assert length * for_each < projections / threads + for_each + 1  # the most that a thread gets


@pytest.mark.parametrize(
    ("projections", "size", "capacity", "expected"),
    [
        (246, 65 * 55 * 4, Capacity(2), 123),  # the tutorial's: all of it is 3.5 MB
        (246, 65 * 55 * 4, Capacity(100), 3),
        (1000, MB, Capacity(2), 125),
        (246, 130 * 110 * 4, Capacity(2), 123),  # not 73, of which one thread would get two, the other 1.4
        (1000, MB, Capacity(2, 2**30), 46),  # as large as the memory allows that Python leaves
        (1000, MB, Capacity(2, 2**29), 16),
        (1000, MB, Capacity(10), 25),
        (1000, MB, Capacity(50), 10),  # one of them would hold five, if there were four a thread
        (1000, 4 * MB, Capacity(2), 32),  # as large as Dask's chunks are
        (1000, 0.1 * MB, Capacity(10), 50),  # 4 MB or more
        (1000, 1000 * MB, Capacity(10), 1),
        (3, MB, Capacity(10), 1),
    ],
)
def test_chunks_of_known_scans(projections, size, capacity, expected):
    assert chunk_length(projections, size, capacity) == expected


@pytest.fixture
def scan():
    images = np.random.default_rng(0).uniform(0.5, 1, (50, 20, 16)).astype(np.float32)
    return make_scan(images, np.linspace(0, np.pi, 50, endpoint=False))


@pytest.mark.parametrize("name", ["scan.zarr", "scan.h5"])
def test_files_are_opened_in_them_and_it_is_told(scan, tmp_path, caplog, name):
    write_scan(scan, tmp_path / name)
    with caplog.at_level(logging.INFO, "mumott_dask.scan.chunk_sizes"):
        opened = open_scan(tmp_path / name, chunks=Capacity(threads=4))
    assert opened.chunksizes["projection"] == (13, 13, 13, 11)
    (message,) = caplog.messages
    assert message == f"{tmp_path / name}: 4 chunks of 13 projections (16.25 kiB) for 4 threads"
    assert opened.compute().identical(open_scan(tmp_path / name))
