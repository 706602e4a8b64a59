"""Seconds and accuracy of a whole alignment at the tutorial's size, after compilation."""

import time

import pytest

import mumott_dask as md
from mumott_dask.simulation import simulate_case

GROUP = "Alignment of 246 projections of 65 x 55 pixels"


@pytest.fixture(scope="module")
def scan(compiled):
    return simulate_case("clean")


def test_how_soon_the_default_is_right(figure, scan):
    steps = []
    start = time.perf_counter()
    found = md.align(scan, watch=lambda step: steps.append((time.perf_counter() - start, step)))
    whole = time.perf_counter() - start
    errors = [rms(found, scan, step) for _, step in steps]
    for pixels, aim in ((0.02, 2.0), (0.004, 6.0)):
        reached = [when for (when, _), error in zip(steps, errors, strict=True) if error < pixels]
        figure(GROUP, f"until {pixels} px RMS", min(reached, default=float("inf")), "s", aim)
    note = f"{errors[-1]:.4f} px RMS, {len(steps)} iterations"
    figure(GROUP, "until converged to the tolerance", whole, "s", note=note)


def test_the_tutorials_iterations(figure, scan):
    start = time.perf_counter()
    found = md.align(scan, method="tutorial")
    whole = time.perf_counter() - start
    error = md.compare(found, "truth", scan).attrs["rms"]
    figure(GROUP, "preset `tutorial`", whole, "s", 25.0, note=f"{error:.4f} px RMS")


def rms(found, scan, step):
    offsets = {name: ("projection", getattr(step, name)) for name in ("j_offset", "k_offset")}
    return md.compare(found.assign(offsets), "truth", scan).attrs["rms"]
