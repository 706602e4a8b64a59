"""How well the named cases are aligned, beside the Cramer-Rao bound; writes the manual's tables and figure.

Every measurement goes to bench-output/accuracy.json as soon as it is there. Where all of them were made in
one run, docs/accuracy_table.md, docs/accuracy_beyond.md and docs/images/accuracy.png are written from it at
the end.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.simulation import CASES, simulate_case

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "bench-output" / "accuracy.json"
TABLE = ROOT / "docs" / "accuracy_table.md"
BEYOND_TABLE = ROOT / "docs" / "accuracy_beyond.md"
FIGURE = ROOT / "docs" / "images" / "accuracy.png"

RADII = (1, 2, 5, 10, 15)  # pixels
SEEDS = range(10)
FAILED = 0.05  # pixels
INSIDE = {"shape": (60, 56), "tilts": 3, "rotations": 30, "extent": 0.45}  # in view at 15 pixels off
SMALL = {"shape": (48, 42), "tilts": 3, "rotations": 30, "extent": 0.55}
PHOTONS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
BEYOND = {
    "for comparison: nothing difficult": ({}, {}),
    "an arc of 50 degrees, 60 projections": (
        {"tilts": 1, "rotations": 60, "arc": (-np.pi / 7.2, np.pi / 7.2)},
        {},
    ),
    "15 projections, one tilt": ({"tilts": 1, "rotations": 15}, {}),
    "8 projections, one tilt": ({"tilts": 1, "rotations": 8}, {}),
    "a sample 1.45 times as large as the view, offsets of up to 10 pixels": (
        {"extent": 1.45, "radius": 10},
        {},
    ),
    "30 photons": ({"photons": 30}, {}),
    "angles off by 0.5 degree, not asked for": ({"angle_error": np.radians(0.5)}, {}),
    "angles off by 0.5 degree, asked for": ({"angle_error": np.radians(0.5)}, {"refine_angles": True}),
    "rotation axis off by 3 degrees, not asked for": ({"axis_error": (np.radians(3), 0)}, {}),
    "rotation axis off by 3 degrees, asked for": (
        {"axis_error": (np.radians(3), 0)},
        {"refine_geometry": True},
    ),
    "air level that slopes by 0.05, not asked for": ({"background": 0.05}, {}),
    "air level that slopes by 0.05, asked for": ({"background": 0.05}, {"background": "linear"}),
    "a cylinder, all the same along its axis": ({"tilts": 1, "rotations": 60, "phantom": True}, {}),
}


@pytest.fixture(scope="module")
def measured():
    """What was measured so far, by kind; written out in the end if it is whole."""
    md.align(md.simulate((24, 20), tilts=1, rotations=8, jumps=0, jitter=0.1), iterations=1)  # compiles
    sys.stdout.write(
        f"\n\n{'case':14}{'seconds':>8}{'RMS':>8}{'bar':>8}{'bound':>8}{'ratio':>7}{'in 2 s':>8}\n"
    )
    whole = {"cases": CASES, "sweep": RADII, "photons": PHOTONS, "beyond": BEYOND}
    measured = {"machine": _machine(), **{kind: {} for kind in whole}}
    yield measured
    if all(len(measured[kind]) == len(wanted) for kind, wanted in whole.items()):
        TABLE.write_text(table(measured))
        BEYOND_TABLE.write_text(table_beyond(measured))
        draw(measured, FIGURE)


@pytest.mark.parametrize("name", CASES)
def test_a_case(benchmark, measured, name):
    case = CASES[name]
    scan = simulate_case(name, bounds=True)
    row = measure(benchmark, scan, **case.alignment)
    row |= {"bar": case.bar, "angle_bar": case.angle_bar}
    _keep(measured, "cases", name, row)
    met = row["rms"] < case.bar and (case.angle_bar is None or row["angle_degrees"] < case.angle_bar)
    verdict = "met" if met else "MISSED"
    if not row["converged"]:
        verdict += ", not converged"
    if row["called_wrong"] != row["wrong"]:
        verdict += f", called wrong: {row['called_wrong']}, are wrong: {row['wrong']}"
    if row["angle_degrees"] is not None:
        verdict += f", angles off by {row['angle_degrees']:.3f} degrees"
    sys.stdout.write(
        f"{name:14}{row['seconds']:8.1f}{row['rms']:8.4f}{case.bar:8.3f}{row['bound']:8.4f}"
        f"{row['rms'] / row['bound']:7.2f}{row['within_two']:8.1%}  {verdict}\n"
    )
    assert met
    assert row["called_wrong"] == row["wrong"]


@pytest.mark.parametrize("radius", RADII)
def test_convergence(benchmark, measured, radius):
    """Offsets that have nothing to do with each other, anywhere in a disc."""
    scans = [md.simulate(**INSIDE, offsets=in_a_disc(radius, 90, seed), seed=1000 + seed) for seed in SEEDS]
    rows = benchmark.pedantic(lambda: [errors(scan, md.align(scan)) for scan in scans], rounds=1)
    worst = max(row["rms"] for row in rows)
    failures = sum(row["rms"] > FAILED or not row["converged"] for row in rows)
    silent = sum(row["rms"] > FAILED and row["converged"] for row in rows)
    row = {"failures": failures, "silent": silent, "worst": worst, "rms": [each["rms"] for each in rows]}
    _keep(measured, "sweep", str(radius), row)
    sys.stdout.write(
        f"{radius:>2} pixels off  {failures} of {len(scans)} failed, {silent} of them in silence; "
        f"worst {worst:.4f} px RMS, {benchmark.stats['mean']:.1f} s\n"
    )
    assert not failures


@pytest.mark.parametrize("photons", PHOTONS)
def test_photons(benchmark, measured, photons):
    row = measure(benchmark, md.simulate(**SMALL, photons=photons, bounds=True, seed=2000))
    _keep(measured, "photons", str(photons), row)
    sys.stdout.write(
        f"{photons:>9,} photons  {row['rms']:.5f} px RMS, bound {row['bound']:.5f}, "
        f"{row['within_two']:.1%} within two standard errors\n"
    )


@pytest.mark.parametrize("what", BEYOND)
def test_beyond_what_it_is_for(benchmark, measured, what):
    """Nothing is asserted: the manual says what came of it."""
    simulation, alignment = dict(BEYOND[what][0]), BEYOND[what][1]
    if "radius" in simulation:
        simulation["offsets"] = in_a_disc(simulation.pop("radius"), 90, 0)
    if "phantom" in simulation:
        simulation["phantom"] = cylinder()
    row = measure(benchmark, md.simulate(**SMALL | simulation, bounds=True, seed=3000), **alignment)
    _keep(measured, "beyond", what, row)
    sys.stdout.write(
        f"{what:70}{row['rms']:8.4f}, bound {row['bound']:.4f}, stated {row['stated']:.4f}, "
        f"{row['within_two']:.0%} within two, {'' if row['converged'] else 'not '}converged\n"
    )


def measure(benchmark, scan, **alignment):
    """Errors of an alignment beside the bound of its photons, and how long it took."""
    found = benchmark.pedantic(md.align, (scan,), alignment, rounds=1)
    row = errors(scan, found) | {"bound": scan.attrs["offset_bound"], "seconds": benchmark.stats["mean"]}
    benchmark.extra_info |= row
    return row


def errors(scan, found):
    """Errors of an alignment over the projections that are not wrong in truth, whatever it calls wrong."""
    compared = md.compare(found.assign_attrs(wrong=[]), "truth", scan)
    right = ~np.isin(scan["projection"], compared.attrs["wrong"])
    stated = np.stack([found[f"{axis}_offset_std"].values for axis in "jk"])[:, right]
    ratios = np.stack([compared[f"{axis}_difference"] / found[f"{axis}_offset_std"] for axis in "jk"])[
        :, right
    ]
    return {
        "rms": compared.attrs["rms"],
        "largest": compared.attrs["largest"],
        "stated": float(np.sqrt(np.mean(stated**2))),
        "within_two": float(np.mean(np.abs(ratios) < 2)),
        "ratio_deviation": float(ratios.std()),
        "angle_degrees": angle_error(scan, found, compared),
        "wrong": compared.attrs["wrong"],
        "called_wrong": list(found.attrs["wrong"]),
        "converged": bool(found.attrs["converged"]),
        "iterations": found.sizes["iteration"],
        "projections": scan.sizes["projection"],
    }


def angle_error(scan, found, compared):
    """RMS angle that the rotations are off by; of the instrument, the larger of its two angles. Degrees."""
    if "rotation" not in found:
        return None
    if "axis_error_true" not in scan.attrs:
        return float(np.degrees(compared.attrs["angle_rms"]))
    from scipy.spatial.transform import Rotation

    turned = (
        Rotation.from_matrix(found["rotation"].values) * Rotation.from_matrix(scan["rotation"].values).inv()
    )
    off = turned.mean().as_rotvec() - scan.attrs["axis_error_true"]
    return float(np.degrees(np.abs(off[:2]).max()))  # pitch about j, in the plane about the beam


def in_a_disc(radius, number, seed):
    """Offsets (2, number), evenly spread over a disc."""
    random = np.random.default_rng([radius, seed])
    distance, angle = radius * np.sqrt(random.random(number)), random.uniform(0, 2 * np.pi, number)
    return distance * np.array([np.cos(angle), np.sin(angle)])


def cylinder():
    """A pierced cylinder on the sub-voxels of `SMALL`'s volume."""
    across, along = (np.arange(2 * n) / 2 - (n - 0.5) / 2 for n in SMALL["shape"])
    x, y = across[:, None, None], across[None, :, None]
    body = (np.hypot(x, y) < 12) & (np.hypot(x - 4, y - 3) > 3) & (np.hypot(x + 5, y) > 2.5)
    return np.repeat(0.03 * body, len(along), axis=2).astype(np.float32)


def table(measured):
    """The tables of the cases and of the sweep, as Markdown."""
    lines = [
        "| case | RMS error | bar | bound | error / bound | within two standard errors | angles off by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in measured["cases"].items():
        angle = "" if row["angle_degrees"] is None else f"{row['angle_degrees']:.3f}°"
        bar = "" if row["angle_bar"] is None else f" (bar {row['angle_bar']}°)"
        missed = "" if row["rms"] < row["bar"] else ", missed"
        lines.append(
            f"| `{name}`: {CASES[name].description} | {row['rms']:.4f} | {row['bar']}{missed} "
            f"| {row['bound']:.4f} | {row['rms'] / row['bound']:.1f} | {row['within_two']:.0%} "
            f"| {angle}{bar} |"
        )
    rows = measured["cases"].values()
    inside = np.average([row["within_two"] for row in rows], weights=[row["projections"] for row in rows])
    unfinished = [f"`{name}`" for name, row in measured["cases"].items() if not row["converged"]]
    misnamed = [f"`{name}`" for name, row in measured["cases"].items() if row["wrong"] != row["called_wrong"]]
    lines += [
        "",
        f"Over all cases, {inside:.1%} of the true errors are within two of the standard errors that came with "
        f"the offsets. Not converged: {', '.join(unfinished) or 'none'}. Wrong projections not named, or right "
        f"ones called wrong: {'in ' + ', '.join(misnamed) if misnamed else 'none'}.",
        "",
        f"| starting error of each projection, up to | scans that failed, of {len(SEEDS)} "
        "| of them in silence | worst RMS error |",
        "| --- | --- | --- | --- |",
    ]
    for radius, row in measured["sweep"].items():
        lines.append(f"| {radius} px | {row['failures']} | {row['silent']} | {row['worst']:.4f} |")
    lines += ["", f"Errors in pixels. Measured on {measured['machine']}.", ""]
    return "\n".join(lines)


def table_beyond(measured):
    """The table of what lies beyond, as Markdown."""
    lines = [
        "| scan of 48 x 42 pixels | RMS error | bound | standard errors say | within two of them | converged |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for what, row in measured["beyond"].items():
        lines.append(
            f"| {what} | {row['rms']:.4f} | {row['bound']:.4f} | {row['stated']:.4f} "
            f"| {row['within_two']:.0%} | {'yes' if row['converged'] else 'no'} |"
        )
    return "\n".join([*lines, ""])


def draw(measured, path):
    """Error against photon count with the bound, and the cases' errors beside their bars and bounds."""
    from matplotlib.figure import Figure

    from mumott_dask.plot.style import COLOURS, LINE_WIDTH, thin

    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, 5))
    photons, rows = list(map(int, measured["photons"])), list(measured["photons"].values())
    left.loglog(
        photons, [row["bound"] for row in rows], "-", color="0.5", linewidth=1, label="Cramér-Rao bound"
    )
    left.loglog(
        photons, [row["rms"] for row in rows], "o", markersize=4, color=COLOURS["j"], label="RMS error"
    )
    left.set_xlabel("photons per open pixel")
    left.set_ylabel("error of the offsets (pixel)")
    names, rows = list(measured["cases"]), list(measured["cases"].values())
    places = np.arange(len(names))[::-1]
    for key, mark, colour, label in (
        ("bound", "|", "0.5", "Cramér-Rao bound"),
        ("bar", "|", COLOURS["k"], "at most"),
        ("rms", "o", COLOURS["j"], "RMS error"),
    ):
        size = 4 if mark == "o" else 10
        right.semilogx([row[key] for row in rows], places, mark, color=colour, markersize=size, label=label)
    right.set_yticks(places, names)
    right.set_xlabel("error of the offsets (pixel)")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderpad=0)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x" if ax is right else "both", linewidth=LINE_WIDTH / 2, color="0.9")
        thin(ax)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)


def _machine():
    threads = os.environ.get("NUMBA_NUM_THREADS") or os.cpu_count()
    return (
        f"{threads} thread{'s' * (threads not in (1, '1'))} on {platform.machine()}, {time.strftime('%B %Y')}"
    )


def _keep(measured, kind, name, row):
    measured[kind][name] = row
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(measured, indent=1))
