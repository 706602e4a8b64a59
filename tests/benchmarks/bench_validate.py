"""What `validate` says of right and of wrong alignments of the named cases; writes the manual's table.

The truth is known here, so its verdicts can be held against it. Every measurement goes to
bench-output/validation.json; where all of them were made in one run, docs/validation_table.md is written.
"""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.simulation import CASES, simulate_case

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "bench-output" / "validation.json"
TABLE = ROOT / "docs" / "validation_table.md"
HOLDS = (0.8, 1.25)  # scatter of the differences over their errors, of right alignments


def jittered(scan, alignment):
    """The alignment with 0.03 pixel RMS of noise on top."""
    noise = np.random.default_rng(0).normal(0, 0.03, (2, scan.sizes["projection"]))
    return alignment.assign(
        {f"{axis}_offset": alignment[f"{axis}_offset"] + noise[n] for n, axis in enumerate("jk")}
    )


def one_tilt_aside(scan, alignment):
    """The alignment with all projections of the third tilt moved by a quarter of a pixel along k."""
    tilts = scan["outer_angle"].values
    aside = 0.25 * (tilts == np.unique(tilts)[2])
    return alignment.assign(k_offset=alignment["k_offset"] + aside)


def as_it_is(scan, alignment):
    """The alignment."""
    return alignment


WRONG = {
    "angles off, not asked for": ("angles", {}, as_it_is),
    "axis off, not asked for": ("instrument", {}, as_it_is),
    "air level that slopes, not asked for": ("background", {}, as_it_is),
    "0.03 pixel of noise on the offsets": ("clean", {}, jittered),
    "one tilt of six aside by 0.25 pixel": ("clean", {}, one_tilt_aside),
}
RUNS = {f"`{name}`": (name, dict(case.alignment), as_it_is) for name, case in CASES.items()} | WRONG


@cache
def aligned(name, settings):
    scan = simulate_case(name)
    return scan, md.align(scan, **dict(settings))


@pytest.fixture(scope="module")
def measured():
    rows = {}
    sys.stdout.write(f"\n\n{'':52}{'RMS':>8}{'stated':>8}{'ratio':>7}  verdict\n")
    yield rows
    if len(rows) == len(RUNS):
        TABLE.write_text(table(rows))


@pytest.mark.parametrize("what", RUNS)
def test_a_verdict(benchmark, measured, what):
    name, settings, change = RUNS[what]
    scan, found = aligned(name, tuple(settings.items()))
    found = change(scan, found)
    checked = benchmark.pedantic(md.validate, (scan, found), rounds=1)
    right = ~np.isin(found["projection"], found.attrs["wrong"])
    stated = np.stack([found[f"{axis}_offset_std"] for axis in "jk"])[:, right]
    row = {
        "rms": md.compare(found, "truth", scan).attrs["rms"],
        "stated": float(np.sqrt(np.mean(np.square(stated)))),
        "seconds": benchmark.stats["mean"],
        **{key: checked.attrs[key] for key in ("ratio_std", "verdict", "reason")},
    }
    measured[what] = row
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(measured, indent=1))
    sys.stdout.write(
        f"{what:52}{row['rms']:8.4f}{row['stated']:8.4f}{row['ratio_std']:7.2f}  {row['verdict']}: "
        f"{row['reason']}, {row['seconds']:.0f} s\n"
    )
    if what in WRONG:
        assert row["verdict"] != "good"
    else:
        assert row["verdict"] == "good"
        assert HOLDS[0] <= row["ratio_std"] <= HOLDS[1]


def table(rows):
    """The verdicts as Markdown."""
    lines = ["| alignment | RMS error | stated | ratio | verdict |", "| --- | --- | --- | --- | --- |"]
    for what, row in rows.items():
        kind = "**wrong**: " if what in WRONG else ""
        lines.append(
            f"| {kind}{what} | {row['rms']:.4f} | {row['stated']:.4f} | {row['ratio_std']:.2f} "
            f"| {row['verdict']}: {row['reason']} |"
        )
    return "\n".join([*lines, ""])
