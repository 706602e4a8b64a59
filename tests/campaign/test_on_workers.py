"""Running a campaign on workers: each sample a task, and workers that die."""

import os
import signal

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import cluster
from mumott_dask.campaign import run_campaign

TEXT = """
samples:
- SCANS/*.h5
- SCANS/c.zarr
- {path: SCANS/c.zarr/zarr.json, name: no scan}
align: {iterations: 4}
reconstruct: {iterations: 3}
"""


@pytest.fixture(scope="module")
def client():
    with cluster.local(workers=2, threads=1, dashboard_address=None) as client:
        yield client


def test_workers_make_what_one_process_makes(client, manifest, scans):
    found = manifest(TEXT)
    records = {record["sample"]: record for record in run_campaign(found)}
    assert {name: record["status"] for name, record in records.items()} == {
        "a": "done",
        "b": "done",
        "c": "done",
        "no scan": "failed",
    }
    alignment = md.align(md.open_scan(scans / "b.h5"), iterations=4)
    stored = md.open_alignment(found.directory / "samples" / "b.zarr")
    np.testing.assert_allclose(stored["j_offset"], alignment["j_offset"], atol=1e-5)
    assert not client.who_has()


def test_a_large_sample_has_all_workers_to_itself(client, manifest):
    found = manifest("samples: [SCANS/a.h5]\nlimits: {memory: 1 MB}\nalign: {iterations: 1}")
    (record,) = run_campaign(found)
    assert record["status"] == "done", record["traceback"]


def test_a_worker_that_dies_costs_nothing_but_time(client, manifest):
    processes = list(client.run(os.getpid).values())

    def kill(number, count, record):
        if number == 1:
            os.kill(processes[0], signal.SIGKILL)

    found = manifest(TEXT.replace("iterations: 4", "iterations: 8"))
    records = run_campaign(found, watch=kill)
    assert sorted(record["sample"] for record in records if record["status"] == "done") == ["a", "b", "c"]
