"""A scan ten times larger than the memory limit of all workers, and a volume as large as one worker's limit."""

import re
import time
from itertools import islice
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from distributed import wait
from scipy.spatial.transform import Rotation

import mumott_dask as md
from mumott_dask import Projector, arrays, cluster
from mumott_dask.alignment import Stage
from mumott_dask.projector import with_slabs
from mumott_dask.reconstruction import mitra_steps, sirt_weights

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs the peak that Linux keeps"
)

LIMIT = 512 * 2**20  # bytes; of these, imports take half
TIMES = 10
FLUX = 40_000
SEGMENTS = 64, 48, 40  # how many, of so many pixels along j and k
THIN = 6, 1600  # so that there are many pixels, of which kernels have little to do
SIDE, COUNT = 640, 10  # a volume of 1000 MiB, and projections
TWICE = 25  # workers: twice a state of 5 volumes, in 0.4 of memory as large as one; see `slabs.slab_count`
PAUSED = "times that one of {} paused"
ONE_STEP = (Stage("coarse", 1, 1.5, 1, 2, 1, 0.0),)


def blobs(angles, side_j, side_k):
    """A blob that circles, (projection, j, k): line sums of up to 1."""
    j, k = ((np.arange(side) - (side - 1) / 2) / side for side in (side_j, side_k))
    across = np.exp(-50 * (j - 0.1 * np.cos(angles)[:, None]) ** 2)
    return (across[:, :, None] * np.exp(-50 * k**2)).astype(np.float32)


def with_segments(size):
    """Segments that are all alike, so that disk is no matter, and the scan's signal is their mean."""
    segments, side_j, side_k = SEGMENTS
    angles = np.linspace(0, 2 * np.pi, size // (4 * side_j * side_k * segments) + 1, endpoint=False)
    images = blobs(angles, side_j, side_k)
    images += np.random.default_rng(0).normal(0, 0.01, images.shape).astype(np.float32)
    scan = md.make_scan(images, angles, signal="additive", name="sum")
    data = da.from_array(images, chunks=(128, -1, -1))[..., None]
    data = da.broadcast_to(data, (*images.shape, segments))
    scan = scan.assign(data=(("projection", "j", "k", "segment"), data))
    return scan.assign_coords(detector_angle=("segment", np.arange(segments) * 0.1)), "data"


def with_diode(size):
    """A diode's readings, with noise that comes again after a thousand projections."""
    count, at_once = size // (4 * THIN[0] * THIN[1]) + 1, 1024
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    noise = np.random.default_rng(0).normal(0, FLUX**0.5, (at_once, *THIN)).astype(np.float32)

    def read(some):
        return FLUX * np.exp(-blobs(some[:, 0, 0], *THIN)) + noise[: len(some)]

    angle = da.from_array(angles[:, None, None], chunks=(at_once, 1, 1))
    chunks = (angle.chunks[0], *((side,) for side in THIN))
    images = angle.map_blocks(read, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    return md.make_scan(images, angles), None


def peak():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def spills(dask_worker):
    """Blocks that a worker has ever written to disk."""
    return dask_worker.data.cumulative_metrics.get(("disk-write", "count"), 0)


@pytest.mark.parametrize(("workers", "make"), [(1, with_segments), (2, with_diode)])
def test_a_scan_ten_times_larger_than_the_workers(figure, tmp_path, workers, make):
    """One outer iteration, of which every pass reads the scan again."""
    scan, variable = make(TIMES * workers * LIMIT)
    md.write_scan(scan, tmp_path / "scan.zarr")
    with cluster.local(workers, threads=1, memory_limit=LIMIT, dashboard_address=None) as client:
        scan = md.open_scan(tmp_path / "scan.zarr", chunks=cluster.capacity())
        size = scan[variable or "diode"].nbytes
        assert size > TIMES * workers * LIMIT
        begin = time.monotonic()
        md.align(scan, method="optical-flow", start="zero", variable=variable, stages=ONE_STEP)
        seconds = time.monotonic() - begin
        held = max(client.run(peak).values())
        logs = str(client.get_worker_logs())
    note = f"largest resident size; {size / 1e9:.1f} GB read again and again, {seconds:.0f} s"
    of = "its segments" if variable else "the diode"
    what = f"worker memory, {workers} of them aligning {of} of a scan of {TIMES} times their limit"
    figure("Dask", what, held / 2**20, "MiB", LIMIT / 2**20, note=note)
    figure("Dask", PAUSED.format(workers), logs.count("Pausing"), aim=0)


def test_a_volume_as_large_as_a_worker(figure):
    """SIRT's weights and two iterations of MITRA, in the slabs that ``volume_chunks="auto"`` makes.

    The workers hold the solver's state twice in the share of their memory that slabs are meant to take. (The
    rest is for Python, which takes a quarter before it has anything to do, and what Dask keeps free: it
    spills from 0.7 on.) So many that each has a projection would take long: ten of them have one.
    """
    limit = 4 * SIDE**3
    turns = Rotation.from_rotvec(np.outer(np.linspace(0, np.pi, COUNT, False), [0, 0, 1])).as_matrix()
    projector = Projector(turns, *np.zeros((2, COUNT)), (SIDE,) * 3, (SIDE, SIDE))
    with cluster.local(TWICE, threads=1, memory_limit=limit, dashboard_address=None) as client:
        projector = with_slabs(projector, "auto")
        (images,) = arrays.keep_on_workers(arrays.constant(1, projector.shape, (1,) * COUNT))
        begin = time.monotonic()
        weights = sirt_weights(projector, (1,) * COUNT)
        for step in islice(mitra_steps(projector, images, *weights), 2):
            wait([step.tomogram, step.loss])
        seconds = time.monotonic() - begin
        held = max(client.run(peak).values())
        logs = str(client.get_worker_logs())
        spilled = sum(client.run(spills).values())
        note = f"largest resident size; {projector.slabs} slabs, {COUNT} projections, {seconds:.0f} s"
        what = f"worker memory, {TWICE} of them with a volume of one's limit"
        figure("Dask", what, held / 2**20, "MiB", limit / 2**20, note=note)
        figure("Dask", "blocks that they spilled", spilled, aim=0)
        figure("Dask", PAUSED.format(TWICE), logs.count("Pausing"), aim=0)
