"""The same work as one batch script: scheduler and workers on the nodes of one job."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import ScanError, cluster
from mumott_dask.cluster import Jobs, Site
from mumott_dask.cluster.allocations import allocated_site

SCRIPTS = Path(__file__).parents[2] / "cluster" / "slurm"
OPTIONS = ["--method", "optical-flow", "--iterations", "3"]


@pytest.fixture
def batch(queue, tmp_path, wait_until):
    """Submit a script with other options than its own, wait for its end, and return what it wrote."""
    python = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{python}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    log = tmp_path / "batch.log"

    def submitted(script, *arguments, wait=True, **options):
        asked = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        line = ["sbatch", "--parsable", f"--output={log}", *asked, str(script), *map(str, arguments)]
        job = subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout.strip()

        if not wait:
            return job

        def ended():
            told = subprocess.run(
                ["scontrol", "show", "job", job], capture_output=True, text=True, check=True
            ).stdout
            return re.search(r"JobState=(COMPLETED|FAILED|CANCELLED|TIMEOUT)", told)

        wait_until(ended, 240)
        assert ended()[1] == "COMPLETED", log.read_text()
        return log.read_text()

    return submitted


@pytest.mark.parametrize(
    ("script", "nodes", "gpus"),
    [
        ("cpu_nodes.sh", 2, 0),
        pytest.param("one_gpu_node.sh", 1, 2, marks=pytest.mark.slow),
        pytest.param("gpu_nodes.sh", 2, 1, marks=pytest.mark.slow),
    ],
)
def test_a_script_aligns_a_scan(batch, scan, tmp_path, without_gpus, script, nodes, gpus):
    """As it stands but for the size of its nodes; with GPUs that are none, on the CPUs of their workers."""
    md.write_scan(scan, tmp_path / "scan.zarr")
    site, result = tmp_path / "site.yaml", tmp_path / "result.zarr"
    site.write_text(f"cores: 1\nmemory: 1GB\ninterface: lo\n{f'python: {without_gpus}' if gpus else ''}\n")
    line = [tmp_path / "scan.zarr", "--output", result, "--cluster", site, "--chunks", 4, *OPTIONS]
    options = {"nodes": nodes, "cpus_per_task": max(gpus, 1), "mem": "1500M"}
    if gpus:
        options["gres"] = f"gpu:{gpus}"
        line += ["--backend", "cpu"]
    written = batch(SCRIPTS / script, *line, **options)
    assert re.search(
        r"dashboard at http://localhost:\d+/status, with its token in /.*/scheduler.json", written
    )
    assert "token=" not in written  # others may read it
    (log,) = tmp_path.glob(".mumott-dask/*/workers.log")
    assert log.read_text().count("Registered to") == nodes * max(gpus, 1)
    expected = md.align(scan, method="optical-flow", iterations=3)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(md.open_alignment(result)[name], expected[name], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_script_whose_time_runs_out_goes_on_from_its_checkpoint(batch, tmp_path, wait_until):
    """A scan that takes longer than two minutes; SLURM sends the signal one to two minutes before the end."""
    md.write_scan(md.simulate((90, 84), tilts=3, rotations=80, seed=1), tmp_path / "scan.zarr")
    (tmp_path / "site.yaml").write_text("cores: 1\nmemory: 1GB\nworkers: 1\ninterface: lo\n")
    line = [tmp_path / "scan.zarr", "--output", tmp_path / "result.zarr", "--cluster", tmp_path / "site.yaml"]
    line += ["--chunks", "8", "--method", "optical-flow", "--iterations", "1000", "--tolerance", "1e-9"]
    options = {"nodes": 1, "cpus_per_task": 1, "mem": "1500M", "time": 2, "signal": "B:USR1@60"}
    job = batch(SCRIPTS / "cpu_nodes.sh", *line, wait=False, **options)
    log = tmp_path / "batch.log"
    wait_until(lambda: log.exists() and "goes on after iteration" in log.read_text(), 300)
    subprocess.run(["scancel", job], check=True)


LOOK = """
import json, os, sys
from mumott_dask import cluster
from mumott_dask.cluster import Site

site = Site(cores=1, memory=2**30, interface="lo", python=sys.argv[1])
if __name__ == "__main__":
    with cluster.inside_allocation(site, dashboard_port=0) as client:
        client.wait_for_workers(int(sys.argv[2]), timeout=60)
        names = [worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
        seen = client.run(lambda: (os.environ["SLURM_NODEID"], os.environ["CUDA_VISIBLE_DEVICES"]))
        print(json.dumps([names, list(seen.values()), list(client.nthreads().values())]))
"""


@pytest.mark.parametrize("nodes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_gpu_of_each_node_has_one_worker(batch, tmp_path, without_gpus, nodes, dask_cuda):
    """Four GPUs a node: none is spent on scheduler and client."""
    (tmp_path / "look.py").write_text(LOOK)
    script = tmp_path / "batch.sh"
    script.write_text(f"#!/bin/bash\n{sys.executable} {tmp_path}/look.py {without_gpus} {4 * nodes}\n")
    options = {"nodes": nodes, "ntasks_per_node": 1, "gres": "gpu:4", "cpus_per_task": 4, "mem": "2G"}
    names, seen, threads = json.loads(batch(script, **options).splitlines()[-1])
    assert sorted(names) == [f"node{node}-{gpu}" for node in range(nodes) for gpu in range(4)]
    assert {(node, visible.split(",")[0]) for node, visible in seen} == {
        (str(node), str(gpu)) for node in range(nodes) for gpu in range(4)
    }
    assert set(threads) == {1}


def test_workers_that_end_at_once_are_told_with_what_they_said(batch, tmp_path):
    (tmp_path / "look.py").write_text(LOOK)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such interpreter\nexit 3\n")
    broken.chmod(0o755)
    script = tmp_path / "batch.sh"
    script.write_text(f"#!/bin/bash\n! {sys.executable} {tmp_path}/look.py {broken} 1\n")
    assert re.search(
        r"ScanError: the workers ended before they came: no such interpreter", batch(script, mem="1G")
    )


def test_what_a_job_has_is_what_slurm_tells():
    told = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "32", "SLURM_JOB_NUM_NODES": "3"}
    site = allocated_site(None, told | {"SLURM_MEM_PER_NODE": "1000", "SLURM_GPUS_ON_NODE": "4"})
    assert (site.cores, site.gpus, site.jobs) == (32, 4, Jobs(3, 3))
    assert site.memory == int(0.9 * 1000 * 2**20)
    assert allocated_site(None, told | {"SLURM_MEM_PER_CPU": "10"}).memory == int(0.9 * 320 * 2**20)
    described = Site(cores=8, memory=10**9, workers=8, scratch="/scratch")
    assert allocated_site(described, told).workers == 8
    assert allocated_site(described, told | {"SLURM_GPUS_ON_NODE": "4"}).workers is None
    assert allocated_site(described, told).scratch == "/scratch"


def test_there_is_no_allocation_outside_of_a_job(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ScanError, match="does not run in a SLURM job"):
        cluster.inside_allocation()
