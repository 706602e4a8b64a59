"""Campaigns: samples side by side, a finished campaign begun again, ten thousand samples, and who is flagged."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bench_heldout as heldout
import numpy as np
import pytest
from measuring import ROOT

import mumott_dask as md
from mumott_dask.campaign import campaign_table, read_manifest, run_campaign
from mumott_dask.scan import make_scan

GROUP = "Campaigns of small scans, two workers of one thread"
SMALL = {"shape": (28, 26), "tilts": 2, "rotations": 20, "jumps": 2.0}


@pytest.fixture(scope="module")
def client(compiled):
    with md.cluster.local(workers=2, threads=1, dashboard_address=None) as client:
        yield client


def campaign(folder, text):
    (folder / "campaign.yaml").write_text(text)
    return read_manifest(folder / "campaign.yaml")


def test_samples_side_by_side(figure, client, tmp_path):
    """In four turns, each of fifty samples one at a time and then all at once."""
    alone = together = 0.0
    for turn in range(4):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for seed in range(50):
            md.write_scan(md.simulate(**SMALL, seed=100 * turn + seed), folder / f"{seed}.h5")
        if turn == 0:  # what workers compile
            run_campaign(campaign(folder, "samples: ['*.h5']\noutputs: {directory: first}"))
        one = "samples: ['*.h5']\nlimits: {samples: 1}\noutputs: {directory: one}"
        alone += sum(record["seconds"] for record in run_campaign(campaign(folder, one)))
        began = time.monotonic()
        run_campaign(campaign(folder, "samples: ['*.h5']"))
        together += time.monotonic() - began
    note = f"{together:.0f} s for 200, {alone:.0f} s one at a time"
    figure(
        GROUP,
        "200 samples, over half of the sum of their single runs",
        together / (alone / 2),
        "",
        1.15,
        note=note,
    )


def test_a_finished_campaign_again(figure, client, tmp_path):
    scan = md.simulate(**SMALL)
    for number in range(300):
        md.write_scan(scan, tmp_path / f"{number}.h5")
    manifest = campaign(tmp_path, "samples: ['*.h5']\nalign: {iterations: 1}")
    assert len(run_campaign(manifest)) == 300
    before, began = _bytes_read(), time.monotonic()
    assert run_campaign(read_manifest(manifest.path)) == []
    figure(GROUP, "300 finished samples begun again", time.monotonic() - began, "s", 10.0)
    figure(GROUP, "read of each of them", (_bytes_read() - before) / 300 / 1e6, "MB", 1.0)


def test_until_the_first_of_ten_thousand(figure, tmp_path):
    """From the start of the command, its workers' included, to that of the first task."""
    md.write_scan(md.simulate(**SMALL), tmp_path / "scan.h5")
    for number in range(10_000):
        os.link(tmp_path / "scan.h5", tmp_path / f"sample_{number}.h5")
    entries = "".join(f"- path: sample_{number}.h5\n  bin: 1\n" for number in range(10_000))
    (tmp_path / "campaign.yaml").write_text(f"samples:\n{entries}")
    line = [
        sys.executable,
        "-m",
        "mumott_dask",
        "campaign",
        "run",
        "campaign.yaml",
        "--workers",
        "2",
        "--quiet",
    ]
    began = time.time()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(line, cwd=tmp_path, env=environment, start_new_session=True)
    try:
        while not (found := sorted((tmp_path / "campaign.campaign" / "records").glob("*.json"))):
            time.sleep(0.01)
        done = time.time()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    first = json.loads(found[0].read_text())
    figure(GROUP, "10,000 samples, until the first task starts", done - first["seconds"] - began, "s", 10.0)


@pytest.mark.parametrize("kind", ["bone", "ellipsoids", "blobs"])
def test_who_is_flagged(figure, client, tmp_path, kind):
    """Of 300 scans, of photons from 5,000 to 100,000, fifteen have a tilt's sign or halves of the detector wrong."""
    random = np.random.default_rng([5, len(kind)])
    wrong = dict(zip(random.choice(300, 15, replace=False).tolist(), 5 * ("tilt", "j", "k"), strict=True))
    for number in range(300):
        scan = (
            _bone(number, random)
            if kind == "bone"
            else _heldout(number, kind, tmp_path / "heldout.h5", random)
        )
        md.write_scan(
            _spoilt(scan, wrong[number]) if number in wrong else scan, tmp_path / f"{number:03}.zarr"
        )
    manifest = campaign(tmp_path, "samples: ['*.zarr']")
    run_campaign(manifest)
    flagged = set(np.flatnonzero(campaign_table(manifest)["verdict"] != "pass"))
    group = "Verdicts on 300 samples, 15 of them silently wrong"
    figure(group, f"{kind}: wrong ones flagged", len(flagged & set(wrong)), "", 14, most=False)
    figure(group, f"{kind}: others flagged", len(flagged - set(wrong)), "", 3)


def _photons(random):
    return float(np.exp(random.uniform(np.log(5e3), np.log(1e5))))


def _bone(number, random):
    return md.simulate(
        (32, 28),
        tilts=3,
        rotations=16,
        photons=_photons(random),
        jitter=random.uniform(0.3, 1.2),
        jumps=random.uniform(0, 3),
        drift=random.uniform(0.2, 1),
        extent=random.uniform(0.5, 0.75),
        absorbance=random.uniform(0.4, 1.2),
        seed=number,
    )


def _heldout(number, kind, path, random):
    tilts = (0, 20, 40)
    case = heldout.Case("", (36, 30), tilts, 16, kind, photons=_photons(random), seed=20_000 + number)
    heldout.write_case(case, path)
    return md.open_scan(path)


def _spoilt(scan, how):
    if how == "tilt":
        return make_scan(
            scan["diode"].values,
            scan["inner_angle"].values,
            tilts=-scan["outer_angle"].values,
            inner_axis=scan["inner_axis"].values[0],
            outer_axis=scan["outer_axis"].values,
            volume_shape=tuple(scan.attrs["volume_shape"]),
        )
    return scan.assign(diode=scan["diode"].roll({how: scan.sizes[how] // 2}, roll_coords=False))


def _bytes_read():
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])
