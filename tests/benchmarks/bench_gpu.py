"""The CUDA kernels by their machine code, and where there is a GPU by the clock: docs/gpu_*.md."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from gpu_assembly import CARDS, KERNELS, Card, Cost, cost, seconds
from scipy.spatial.transform import Rotation

import mumott_dask as md
from mumott_dask import Projector
from mumott_dask.simulation import simulate_case

ROOT = Path(__file__).parents[2]
COSTS = ROOT / "bench-output" / "gpu_assembly.json"
SMALL, LARGE = "246 of 65 x 55", "512 of 512 x 512"
SIZES = {SMALL: (246, (65, 65, 55), (65, 55)), LARGE: (512, (512, 512, 512), (512, 512))}

ON_TWO_CORES = """
import json, time
import numpy as np
import mumott_dask as md
from mumott_dask.simulation import simulate_case
scan = simulate_case("clean")
A = md.Projector.from_scan(scan)
volume, images = scan["tomogram_true"].values, np.ones(A.shape, np.float32)
def fastest(operation, rounds):
    operation()
    times = []
    for _ in range(rounds):
        start = time.perf_counter(); operation(); times.append(time.perf_counter() - start)
    return min(times)
print(json.dumps({
    "forward": fastest(lambda: A.forward(volume), 5), "adjoint": fastest(lambda: A.adjoint(images), 5),
    "gradient": fastest(lambda: A.gradient(volume, images, images), 5),
    "align": fastest(lambda: md.align(scan, backend="cpu"), 2),
}))
"""


def written(name, lines):
    """Written to the manual, and shown."""
    text = "\n".join(lines) + "\n"
    (ROOT / "docs" / name).write_text(text)
    print(f"\n{text}")


def test_what_a_sample_costs():
    costs = {name: cost(name) for name in KERNELS}
    COSTS.parent.mkdir(exist_ok=True)
    COSTS.write_text(json.dumps({name: asdict(each) for name, each in costs.items()}))
    lines = ["| kernel | instructions | on floats | loads | bytes |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {each.instructions:.1f} | {each.floating:.1f} | {each.loads} | {4 * each.loads} |"
        for name, each in costs.items()
    ]
    n, volume, detector = SIZES[LARGE]
    samples, moved = n * math.prod(volume), 4 * (math.prod(volume) + n * math.prod(detector))
    lines += ["", f"| {LARGE}: at least | " + " | ".join(costs) + " |", "| --- |" + " ---: |" * len(costs)]
    for name, card in CARDS.items():
        times = (seconds(card, each, samples, moved) for each in costs.values())
        lines.append(f"| {name} | " + " | ".join(f"{1e3 * each:.0f} ms" for each in times) + " |")
    written("gpu_assembly.md", lines)


def tilted(n, volume, detector):
    """Six tilts up to 45 degrees, half a turn, wandering by two pixels."""
    tilts = np.radians(np.linspace(0, 45, 6))[np.arange(n) * 6 // n]
    about_x = Rotation.from_rotvec(np.outer(tilts, [1, 0, 0]))
    about_z = Rotation.from_rotvec(np.outer(np.linspace(0, np.pi, n), [0, 0, 1]))
    offsets = np.random.default_rng(0).uniform(-2, 2, (2, n))
    return Projector((about_x * about_z).as_matrix(), *offsets, volume, detector)


def on_the_clock(operation, rounds):
    """Median time of a call on the device, seconds, after two."""
    import cupy

    times = []
    for turn in range(rounds + 2):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        operation()
        end.record()
        end.synchronize()
        if turn > 1:
            times.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3)
    return float(np.median(times))


def described():
    """The GPU that is here, its bandwidth as measured by copies, and its name."""
    import cupy

    device = cupy.cuda.Device()
    name = cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode()
    source, target = cupy.zeros(2**28, np.float32), cupy.empty(2**28, np.float32)
    copied = 2 * source.nbytes / on_the_clock(lambda: cupy.copyto(target, source), 10)
    return name, Card(device.attributes["MultiProcessorCount"], 1e3 * device.attributes["ClockRate"], copied)


def operations(n, volume, detector):
    """Seconds of the operator's methods and what they work on: (kernel, samples, bytes)."""
    import cupy

    A, random, rounds = tilted(n, volume, detector), cupy.random.default_rng(0), 20 if n < 512 else 5
    voxels, images = (random.random(shape, dtype=np.float32) for shape in (volume, A.shape))
    weights = cupy.ones_like(images)
    crossed = A.forward(cupy.ones(volume, np.float32)) / cupy.asarray(A.rays.step)[:, None, None]
    crossed, moved = float(crossed.sum(dtype=np.float64)), voxels.nbytes + images.nbytes
    return {
        "forward": (on_the_clock(lambda: A.forward(voxels), rounds), "forward", crossed, moved),
        "adjoint": (on_the_clock(lambda: A.adjoint(images), rounds), "adjoint", n * math.prod(volume), moved),
        "reprojection by splines": (
            on_the_clock(lambda: A.reproject(voxels), rounds),
            "splines",
            crossed,
            moved,
        ),
        "gradient": (on_the_clock(lambda: A.gradient(voxels, images, weights), rounds), None, crossed, moved),
    }


def on_two_cores():
    """Seconds of the same on two cores of the machine that holds the GPU, in a process of its own."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-c", ON_TWO_CORES]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


@pytest.mark.gpu
def test_the_clock():
    name, card = described()
    costs = {kernel: Cost(**each) for kernel, each in json.loads(COSTS.read_text()).items()}
    lines = [
        f"Measured on one {name}: {card.multiprocessors} multiprocessors, {card.clock / 1e9:.2f} GHz at most, "
        f"copies of {card.bandwidth / 1e12:.2f} TB/s.",
        "",
        "| projections | operation | time | samples/s | of the bound |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    measured = {size: operations(*sides) for size, sides in SIZES.items()}
    for size, found in measured.items():
        for what, (took, kernel, samples, moved) in found.items():
            bound = f"{100 * seconds(card, costs[kernel], samples, moved) / took:.0f} %" if kernel else ""
            lines.append(
                f"| {size} | {what} | {1e3 * took:.2f} ms | {samples / took / 1e9:.0f} G | {bound} |"
            )
    scan, times = simulate_case("clean"), []
    for _ in range(6):
        begin = time.perf_counter()
        found = md.align(scan, backend="gpu")
        times.append(time.perf_counter() - begin)
    two = on_two_cores()
    pairs = {what: measured[SMALL][what][0] for what in ("forward", "adjoint", "gradient")}
    pairs["align"] = float(np.median(times[1:]))
    lines += ["", f"| {SMALL} | two cores beside it | GPU | times as fast |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {what} | {1e3 * two[what]:.1f} ms | {1e3 * took:.2f} ms | {two[what] / took:.0f} |"
        for what, took in pairs.items()
    ]
    error = md.compare(found, "truth", scan).attrs["rms"]
    lines += ["", f"That alignment's offsets are off by {error:.4f} pixel (RMS) on the GPU."]
    written("gpu_measured.md", lines)
