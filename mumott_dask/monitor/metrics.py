"""Alignments as metrics for Prometheus, beside the scheduler's own on ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from weakref import WeakSet

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .runs import Runs

_METRICS = {
    "iteration": ("Outer iterations done", lambda run: run.iteration),
    "largest_step_pixels": ("Largest step of the last iteration", lambda run: run.history.largest_step[-1]),
    "residual": ("RMS of measured less reprojected signal", lambda run: run.history.residual[-1]),
    "projections_per_second": ("Pace of the last iteration", lambda run: run.rate),
}


class _Metrics(Collector):
    """Metrics of what is being aligned, by all schedulers of this process."""

    def __init__(self) -> None:
        self.told: WeakSet[Runs] = WeakSet()

    def describe(self) -> list[GaugeMetricFamily]:
        """Names alone: nothing is known yet when a registry asks."""
        return [_family(name) for name in _METRICS]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Values of all runs that go on."""
        going = [run for runs in self.told for run in runs if not run.ended and len(run.history)]
        for name, (_, value) in _METRICS.items():
            family = _family(name)
            for run in going:
                family.add_metric([run.name, run.id], float(value(run)))
            yield family


def _family(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"mumott_dask_alignment_{name}", _METRICS[name][0], labels=["name", "run"])


_collector = _Metrics()


def tell(runs: Runs) -> None:
    """Have a scheduler's runs told on ``/metrics``, as long as they are there."""
    if not _collector.told:
        with suppress(ValueError):  # it has been there before
            REGISTRY.register(_collector)
    _collector.told.add(runs)
