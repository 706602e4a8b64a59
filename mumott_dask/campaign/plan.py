"""What a campaign will take, before it runs: memory, disk, hours.

Headers say how large each scan is, and a kernel that is timed where the work will be done says how fast that
goes. How many iterations an alignment takes is only known in the end: as many as simulated scans usually do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from dask import compute, delayed  # type: ignore[attr-defined]

from mumott_dask import placement
from mumott_dask.alignment import align, with_offsets
from mumott_dask.alignment.phase_matching import matching_stages
from mumott_dask.alignment.records import Stage, default_stages, tutorial_stages
from mumott_dask.errors import ScanError
from mumott_dask.projector import Projector
from mumott_dask.reconstruction import reconstruct
from mumott_dask.scan import make_scan
from mumott_dask.scan.schema import detector_shape
from mumott_dask.simulation import simulate
from mumott_dask.words import one_line

from .memory import memory_needed
from .samples import Manifest, Sample
from .state import State
from .work import opened, room

_USUAL = 3  # outer iterations of a stage that ends when its steps are small
_A_STEP = 8  # what an outer iteration takes beside MITRA, in gradients
_WEIGHTS = 4  # gradients that SIRT's weights and what is around them take
_WITH_ANGLES = 2.0  # times as long an alignment takes that refines angles as well
_VALIDATION = 13 * 60  # gradients of its tomograms
_BESIDES = 200_000  # bytes of a result beside its tomogram


class Pace(NamedTuple):
    """How fast a machine is."""

    gradient: float  #: seconds for each step of each ray
    sample: float  #: seconds for a whole sample of next to no pixels


@dataclass(frozen=True)
class Estimate:
    """What a sample will take; nothing where its header can't be read."""

    name: str
    memory: float = 0.0  #: bytes of the process that works on it
    disk: float = 0.0  #: bytes of its result
    duration: float = 0.0  #: seconds, on one thread of a worker, or alone in this process
    alone: bool = False  #: whether it needs more than a thread's share, and has all workers to itself
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a campaign will take; see `plan_campaign`."""

    estimates: list[Estimate]  #: of the samples that are to be worked on
    samples: int  #: in all
    threads: int  #: that work at once

    @property
    def memory(self) -> float:
        """Bytes that a process needs at most."""
        return max((each.memory for each in self.estimates), default=0.0)

    @property
    def disk(self) -> float:
        """Bytes of all results, not compressed."""
        return sum(each.disk for each in self.estimates)

    @property
    def hours(self) -> float:
        """Time that all of it takes."""
        return sum(each.duration for each in self.estimates) / self.threads / 3600


def plan_campaign(manifest: Manifest) -> Plan:
    """Estimate what a campaign will take, for the active Dask client's workers or for this process.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    Plan
        `estimates` of the samples that `run_campaign` would work on, and of all of them `memory` (bytes, of
        the process that needs the most), `disk` (bytes) and `hours`.
    """
    state = State(manifest.directory)
    todo = [sample for sample in manifest.samples if state.missing(sample)]
    client = placement.client()
    pace = measured_pace() if client is None else client.submit(measured_pace, pure=False).result()
    threads = 1 if client is None else max(1, sum(worker.threads for worker in placement.workers()))
    at_once = min(threads, manifest.limits.samples or threads)
    found = compute(*(delayed(estimated)(sample, pace, manifest.limits.memory) for sample in todo))
    return Plan(list(found), len(manifest.samples), at_once)


def estimated(sample: Sample, pace: Pace, limit: int | None = None) -> Estimate:
    """What a sample will take, from its header."""
    try:
        scan = opened(sample)
    except (ScanError, OSError) as error:
        return Estimate(sample.name, error=one_line(error))
    x, y, z = scan.attrs["volume_shape"]
    memory = memory_needed(scan)
    seconds = pace.sample + pace.gradient * ray_steps(scan) * gradients(sample, detector_shape(scan))
    disk = _BESIDES + 4 * x * y * z * sample.tomogram
    return Estimate(sample.name, memory, disk, seconds, alone=memory > room(limit))


def ray_steps(scan: xr.Dataset) -> float:
    """Steps of all rays of a scan through its volume."""
    return float(scan.sizes["projection"] * math.prod(detector_shape(scan)) * max(scan.attrs["volume_shape"]))


def gradients(sample: Sample, shape: tuple[int, int]) -> float:
    """Gradients over all pixels that a sample usually takes, and what else it does in units of these."""
    asked = sample.align
    left, total = asked.get("iterations") or math.inf, 0.0
    for stage in _stages(asked.get("method", "auto"), shape, asked.get("tolerance", 0.001)):
        outer = min(stage.iterations if stage.tolerance == 0 else min(_USUAL, stage.iterations), left)
        left -= outer
        if outer:
            inner = stage.first_iterations + (outer - 1) * stage.inner_iterations
            total += (inner + _A_STEP * outer) / stage.binning**4
    if asked.get("refine_angles") or asked.get("refine_geometry"):
        total *= _WITH_ANGLES
    if sample.tomogram:
        total += sample.reconstruct.get("iterations", 20) + _WEIGHTS
    return total + _VALIDATION * sample.validate


def measured_pace() -> Pace:
    """How fast this thread is, once everything is compiled."""
    scan = make_scan(np.ones((32, 64, 64)), np.linspace(0, np.pi, 32))
    projector = Projector.from_scan(scan)
    volume, images = np.zeros(projector.volume_shape, np.float32), np.zeros(projector.shape, np.float32)
    small = simulate((24, 20), tilts=1, rotations=12, jumps=0.0)
    return Pace(
        _median_seconds(lambda: projector.gradient(volume, images, images)) / ray_steps(scan),
        _median_seconds(lambda: reconstruct(with_offsets(small, align(small)))),
    )


def _median_seconds(call: Callable[[], Any], rounds: int = 3) -> float:
    """Seconds that a call takes, after one that compiles."""
    times = []
    for _ in range(rounds + 1):
        began = time.monotonic()
        call()
        times.append(time.monotonic() - began)
    return float(np.median(times[1:]))


def _stages(method: str, shape: tuple[int, int], tolerance: float) -> tuple[Stage, ...]:
    if method == "line":
        return ()
    if method == "tutorial":
        return tutorial_stages(tolerance)
    return (
        matching_stages(shape, tolerance) if method == "phase-matching" else default_stages(shape, tolerance)
    )
