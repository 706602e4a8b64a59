"""The runner of a campaign, killed again and again: nothing is lost, and nothing done that was done."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import mumott_dask as md

EFFORT = ["align_seconds", "reconstruct_seconds", "seconds", "memory", "date", "path"]


@pytest.mark.slow
def test_a_campaign_that_is_killed_at_twenty_moments_ends_as_if_it_had_not_been(tmp_path):
    random = np.random.default_rng(0)
    for seed in range(40):
        scan = md.simulate((24, 20), tilts=2, rotations=12, jitter=0.5, jumps=1, seed=seed)
        md.write_scan(scan, tmp_path / f"{seed:02}.zarr")
    (tmp_path / "broken.h5").write_text("nothing")
    for name in ("whole", "killed"):
        (tmp_path / f"{name}.yaml").write_text("samples: ['*.zarr', broken.h5]")
    assert _run(tmp_path / "whole.yaml").wait() == 0
    kills, written = 0, {}
    while kills < 20:
        process = _run(tmp_path / "killed.yaml")
        _wait_for_records(tmp_path / "killed.campaign", random.integers(0, 3))
        time.sleep(random.uniform(0, 0.7))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        now = _dates(tmp_path / "killed.campaign")
        assert written.items() <= now.items(), "a sample was lost, or done again"
        written = now
        print(f"{kills} kills, {len(written)} samples")
    assert _run(tmp_path / "killed.yaml").wait() == 0
    assert written.items() <= _dates(tmp_path / "killed.campaign").items()
    whole, killed = (_catalogue(tmp_path / f"{name}.campaign") for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(killed.drop(columns=EFFORT), whole.drop(columns=EFFORT), rtol=1e-6)
    for name in killed["sample"][killed["status"] == "done"]:
        stored = [
            md.open_alignment(tmp_path / f"{each}.campaign/samples/{name}.zarr")
            for each in ("whole", "killed")
        ]
        for offset in ("j_offset", "k_offset"):
            np.testing.assert_array_equal(stored[0][offset], stored[1][offset])
    assert list((tmp_path / "killed.campaign").rglob(".*")) == []


def _run(manifest):
    line = [
        sys.executable,
        "-m",
        "mumott_dask",
        "campaign",
        "run",
        str(manifest),
        "--quiet",
        "--workers",
        "1",
    ]
    return subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _wait_for_records(folder, number):
    """Until so many samples more are done: a runner that is killed sooner than that has done nothing."""
    before = len(_dates(folder))
    while len(_dates(folder)) < min(before + number, 41):
        time.sleep(0.02)


def _dates(folder):
    """When each sample was done, by name."""
    paths = [path for path in folder.glob("records/*.json") if path.name[0] != "."]
    return {path.stem: json.loads(path.read_text())["date"] for path in paths}


def _catalogue(folder):
    return pd.read_parquet(folder / "catalogue.parquet")
