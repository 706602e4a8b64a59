"""Seconds of one forward projection and one adjoint at the tutorial's size, after compilation."""

import pytest

from mumott_dask import Projector

BAR = 0.25


@pytest.fixture(scope="module")
def projector(tutorial_scan):
    return Projector.from_scan(tutorial_scan)


@pytest.mark.parametrize("threads", [True, False], ids=["all threads", "one thread"])
@pytest.mark.parametrize("operation", ["forward", "adjoint"])
def test_projector(benchmark, report, tutorial_scan, projector, operation, threads):
    volume = tutorial_scan["tomogram_true"].values
    operator = projector if threads else projector.single_threaded()
    given = volume if operation == "forward" else projector.forward(volume)
    benchmark.pedantic(getattr(operator, operation), (given,), rounds=7, warmup_rounds=1)
    report(
        f"{operation}, {'all threads' if threads else 'one thread'}",
        benchmark.stats["median"],
        BAR,
        f"{projector.shape} of {projector.volume_shape}",
    )
