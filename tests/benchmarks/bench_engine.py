"""What the engine costs: two worker processes against one process, and 256 workers that compute nothing."""

import sys
import threading
import time
import traceback
from itertools import islice

import dask
import numpy as np
import pytest
from distributed import Client, wait

import mumott_dask as md
from mumott_dask import Projector, arrays, cluster
from mumott_dask.measured import signal_and_mask
from mumott_dask.projector import numpy_arrays
from mumott_dask.reconstruction import mitra_steps, sirt_weights
from mumott_dask.scan.chunk_sizes import chunk_length

ITERATIONS, TURNS = 20, 5
EVERY = 10  # iterations that are asked for at once, as the first stage of an alignment does
WORKERS, NULL_ITERATIONS = 256, 9
SLOWDOWN, MILLISECONDS = 1.10, 2.0
WITHOUT_KERNELS = f"an iteration without kernels, per worker of {WORKERS}"


def steps(scan, every=1):
    data, mask = signal_and_mask(scan)
    projector = Projector.from_scan(scan)
    weights = sirt_weights(projector, arrays.chunk_lengths(data), mask)
    return mitra_steps(projector, data, weights.rays, weights.voxels, every=every)


def seconds(found, iterations, every=1):
    """Seconds of an iteration, of which none is waited for but the last."""
    begin = time.perf_counter()
    *_, last = islice(found, iterations // every)
    if arrays.is_chunked(last.tomogram):
        wait(last.tomogram)
    return (time.perf_counter() - begin) / iterations


def usual_chunks(scan):
    """Projections a chunk that `open_scan` takes for the active cluster."""
    diode = scan["diode"]
    return chunk_length(len(diode), diode.nbytes / len(diode), cluster.capacity())


@pytest.mark.parametrize("size", [{}, {"shape": (90, 80), "rotations": 60}])
def test_two_processes_against_two_threads(figure, size):
    """The same iterations in turns: numba's two threads here, and two workers of one thread."""
    scan = md.simulate(**size)  # the tutorial's, or four times as much work
    here = steps(scan, EVERY)
    with cluster.local(workers=2, threads=1, dashboard_address=None):
        there = steps(scan.chunk(projection=usual_chunks(scan)), EVERY)
        seconds(here, EVERY, EVERY), seconds(there, EVERY, EVERY)
        times = np.array([[seconds(each, ITERATIONS, EVERY) for each in (here, there)] for _ in range(TURNS)])
    threads, processes = np.median(times, axis=0)
    ratio = np.median(times[:, 1] / times[:, 0])
    note = f"{threads:.3f} s and {processes:.3f} s an iteration"
    of = " x ".join(str(side) for side in scan["diode"].shape)
    what = f"MITRA of {of} pixels, two workers of one thread over two threads"
    figure("Dask", what, ratio, aim=SLOWDOWN, note=note)


def nothing(beam, volume, data, weights, background):
    return np.zeros((1, 1, 1), np.float32), np.float64(0)


@pytest.fixture
def null_kernels(monkeypatch):
    monkeypatch.setattr(numpy_arrays, "gradient", nothing)
    monkeypatch.setattr(Projector, "_check", staticmethod(lambda *_: None))


class Shares:
    """Shares of the time that the client and the scheduler are at work, by a look at both every few ms."""

    def __init__(self):
        self.loop = next(thread for thread in threading.enumerate() if "IO loop" in thread.name)
        self.looks, self.client, self.scheduler = 0, 0, 0

    def __enter__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def watch(self):
        while not self.over.wait(0.002):
            frames = sys._current_frames()
            try:
                here, there = (
                    list(traceback.walk_stack(frames[thread.ident]))
                    for thread in (threading.main_thread(), self.loop)
                )
            except AttributeError:  # of a frame that has been left meanwhile
                continue
            self.looks += 1
            self.client += here[0][0].f_code.co_name != "wait"
            self.scheduler += any("distributed/scheduler.py" in f.f_code.co_filename for f, _ in there)


def test_many_workers_that_compute_nothing(figure, null_kernels):
    """Scheduler, client and workers share this process; what the first two take of it is what counts.

    The bar does not cover what the workers do in it, nor what it takes to send and to receive.
    """
    projector = Projector(np.eye(3)[None].repeat(WORKERS, 0), *np.zeros((2, WORKERS)), (1, 1, 1), (1, 1))
    with (
        dask.config.set({"distributed.admin.system-monitor.interval": "1h"}),
        Client(
            processes=False,
            n_workers=WORKERS,
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=":0",
        ),
    ):
        (images,) = arrays.keep_on_workers(arrays.constant(1, projector.shape, (1,) * WORKERS))
        found = mitra_steps(projector, images, images, arrays.constant(1, (1, 1, 1), (1,)))
        seconds(found, 2)
        with Shares() as shares:
            whole = 1e3 * seconds(found, NULL_ITERATIONS) / WORKERS
    client, scheduler = (whole * part / shares.looks for part in (shares.client, shares.scheduler))
    note = f"client {client:.2f} ms, scheduler {scheduler:.2f} ms; with the workers' own {whole:.1f} ms"
    figure("Dask", WITHOUT_KERNELS, client + scheduler, "ms", MILLISECONDS, note=note)
