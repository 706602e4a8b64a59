"""Seconds and accuracy of a whole alignment at the tutorial's size, after compilation."""

import pytest

import mumott_dask as md

BAR = 60.0


@pytest.mark.parametrize("method", ["tutorial", "auto"])
def test_align(benchmark, report, tutorial_scan, method):
    md.align(md.simulate((24, 20), tilts=1, rotations=8, jumps=0, jitter=0.1), iterations=1)  # compiles
    found = benchmark.pedantic(md.align, (tutorial_scan,), {"method": method}, rounds=1)
    error = md.compare(found, "truth", tutorial_scan).attrs
    benchmark.extra_info |= {"rms_pixels": error["rms"], "largest_pixels": error["largest"]}
    accuracy = f"{error['rms']:.4f} px RMS, {error['largest']:.4f} largest"
    report(
        f"align, {method}", benchmark.stats["mean"], BAR, f"{accuracy}, {found.sizes['iteration']} iterations"
    )
    assert error["rms"] < 0.05
