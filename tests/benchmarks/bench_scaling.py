"""Strong and weak scaling from 1 to 256 workers, by the model of `scaling`: docs/scaling_table.md and a picture."""

import re
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from bench_engine import ITERATIONS, WITHOUT_KERNELS, seconds, steps, usual_chunks
from bench_engine import WORKERS as MANY
from dask import delayed
from matplotlib.figure import Figure
from measuring import ROOT, fastest, machine
from scaling import Cluster, Costs, Scan, best, iteration

from mumott_dask import Projector, cluster
from mumott_dask.updates import accelerated_step

TABLE, PICTURE = ROOT / "docs" / "scaling_table.md", ROOT / "docs" / "images" / "scaling.svg"
WORKERS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
THREADS, NETWORKS = 16, {"25 Gbit/s": 25e9 / 8, "200 Gbit/s": 200e9 / 8}
SIDE, PROJECTIONS, EACH = 1024, 2048, 64
LOOPBACK = 1.5e9  # bytes/s: of a machine's own connections, which a check on one machine goes through


@pytest.fixture(scope="module")
def costs(measured):
    """Of this machine's threads, alone; scheduler and client as `bench_engine` has timed them."""
    side, n = 192, 16
    turns = np.eye(3)[None].repeat(n, 0)
    A = Projector(turns, np.zeros(n), np.zeros(n), (side,) * 3, (side,) * 2).single_threaded()
    volume, images = np.ones(A.volume_shape, np.float32), np.ones(A.shape, np.float32)
    others = [volume.copy() for _ in range(3)]
    times = fastest(
        partial(A.forward, volume),
        partial(A.adjoint, images),
        partial(np.add, volume, others[0], out=others[1]),
        partial(accelerated_step, others[0], others[1], others[2], volume, 0.95, True),
        rounds=5,
    )
    voxels = side**3
    tasks = iteration(Scan(MANY, 1), Cluster(MANY, 1, LOOPBACK), Costs(*[0.0] * 6)).tasks / MANY
    scheduled = 1e-3 * measured("Dask", WITHOUT_KERNELS) / tasks
    return Costs(
        *times[:2] / (n * voxels), *times[2:] / voxels, _one_after_the_other() - scheduled, scheduled
    )


def _one_after_the_other(count=300):
    """Seconds of a task that does nothing, of many that wait for each other on one worker."""
    last = delayed(0)
    for _ in range(count):
        last = delayed(abs)(last)
    with cluster.local(workers=1, threads=1, dashboard_address=None) as client:
        begin = time.perf_counter()
        client.compute(last, optimize_graph=False).result()
        return (time.perf_counter() - begin) / count


@pytest.fixture(scope="module")
def on_gpus(costs):
    """The same workers with a GPU each, whose kernels and memory take what docs/gpu_measured.md says."""
    text = (ROOT / "docs" / "gpu_measured.md").read_text()
    rows = [line.split("|") for line in text.splitlines()]
    took = {row[2].strip(): float(row[3].split()[0]) for row in rows if len(row) > 5 and "512 x" in row[1]}
    voxels, bandwidth = 512**3, 1e12 * float(re.search(r"copies of ([\d.]+) TB/s", text)[1])
    kernels = (1e-3 * took[what] / (512 * voxels) for what in ("forward", "adjoint"))
    return replace(
        costs,
        **dict(zip(("forward", "adjoint"), kernels, strict=True)),
        added=12 / bandwidth,
        updated=24 / bandwidth,
    )


@pytest.fixture(scope="module")
def two_workers(tutorial_scan, costs):
    """Seconds of an iteration on two workers here, measured, and as the model has it."""
    with cluster.local(workers=2, threads=1, dashboard_address=None):
        found = steps(tutorial_scan.chunk(projection=usual_chunks(tutorial_scan)))
        seconds(found, 3)
        measured = float(np.median([seconds(found, ITERATIONS) for _ in range(3)]))
    side = round((65 * 65 * 55) ** (1 / 3))
    return measured, iteration(Scan(246, side), Cluster(2, 1, LOOPBACK), costs).seconds


def test_scaling(costs, on_gpus, two_workers):
    begin = time.perf_counter()
    curves = {}
    for kind, threads, kernels in ((f"{THREADS} cores", THREADS, costs), ("one GPU", 1, on_gpus)):
        for network, bandwidth in NETWORKS.items():
            for what in ("strong", "weak"):
                curves[what, kind, network] = [
                    best(
                        Scan(PROJECTIONS if what == "strong" else EACH * count, SIDE),
                        Cluster(count, threads, bandwidth),
                        kernels,
                    )
                    for count in WORKERS
                ]
    written(curves, costs, two_workers)
    drawn(curves)
    print(f"\n{TABLE.read_text()}\n{time.perf_counter() - begin:.0f} s")


def written(curves, costs, two_workers):
    lines = [f"Kernels measured on: {machine()}.", ""]
    lines += ["| measured, seconds | |", "| --- | ---: |"]
    lines += [f"| {what} | {value:.2g} |" for what, value in vars(costs).items()]
    lines += [
        "",
        f"Two workers of one thread on one machine, a scan of the tutorial's size: {1e3 * two_workers[0]:.0f} ms "
        f"an iteration measured, {1e3 * two_workers[1]:.0f} ms by the model.",
        "",
    ]
    for what, title in (
        ("strong", f"{PROJECTIONS} projections of {SIDE} x {SIDE}"),
        ("weak", f"{EACH} projections of {SIDE} x {SIDE} a worker"),
    ):
        names = [f"{kind}, {network}" for each, kind, network in curves if each == what]
        lines += [f"| {title}: workers | " + " | ".join(names) + " |", "| ---: |" + " ---: |" * len(names)]
        for n, count in enumerate(WORKERS):
            cells = [
                f"{points[n].seconds:.3g} s ({points[n].slabs})"
                for (each, *_), points in curves.items()
                if each == what
            ]
            lines.append(f"| {count} | " + " | ".join(cells) + " |")
        lines.append("")
    lines.append("In brackets: the slabs that were best of 1, 4 and 16.")
    TABLE.write_text("\n".join(lines) + "\n")


def drawn(curves):
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = dict(zip(("strong", "weak"), figure.subplots(1, 2), strict=True))
    for (what, kind, network), points in curves.items():
        times = np.array([point.seconds for point in points])
        line = {
            "marker": "o",
            "markersize": 3,
            "color": "C0" if "GPU" in kind else "C1",
            "linestyle": "-" if network.startswith("200") else "--",
        }
        axes[what].plot(WORKERS, times[0] / times, label=f"{kind} a worker, {network}", **line)
    axes["strong"].plot(WORKERS, WORKERS, color="0.7", linewidth=1, label="ideal")
    axes["weak"].axhline(1, color="0.7", linewidth=1)
    axes["strong"].set(
        xscale="log", yscale="log", xlabel="workers", ylabel="times as fast as one", title="the same scan"
    )
    axes["weak"].set(
        xscale="log",
        ylim=(0, 1.05),
        xlabel="workers",
        ylabel="efficiency",
        title="a scan that grows with the workers",
    )
    axes["strong"].legend(fontsize=7)
    figure.savefig(PICTURE)
