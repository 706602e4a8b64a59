"""Workers as SLURM's jobs: aligned on, lost, refused, and cancelled with whoever asked for them."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import numpy as np
import pytest
from distributed import Client

import mumott_dask as md
from mumott_dask import ScanError, cluster
from mumott_dask.cluster import Jobs, commands
from mumott_dask.cluster.folders import read_scheduler

OPTIONS = {"method": "optical-flow", "iterations": 4}


def folder_of(site):
    (folder,) = Path(site.shared).iterdir()
    return folder


def assert_aligned(found, scan):
    expected = md.align(scan, **OPTIONS)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4)


def test_a_scan_is_aligned_on_two_jobs_of_which_one_is_cancelled(site, scan, wait_until, everything):
    with cluster.slurm(replace(site, jobs=Jobs(2, 2)), dashboard_port=0) as client:
        folder = folder_of(site)
        assert cluster.capacity(client).threads == 2
        wait_until(lambda: len(client.nthreads()) == 2)
        jobs = commands.queued(folder.name)
        assert sorted(state for state, _ in jobs.values()) == ["RUNNING", "RUNNING"]
        with ThreadPoolExecutor(1) as thread:
            lost = thread.submit(lambda: (time.sleep(1), subprocess.run(["scancel", min(jobs)], check=True)))
            found = md.align(scan.chunk(projection=4), **OPTIONS)
            lost.result()
        wait_until(lambda: len(set(commands.queued(folder.name)) - {min(jobs)}) == 2)  # replaced
        check_secrecy(client, folder)
    assert_aligned(found, scan)
    wait_until(lambda: not everything(), 10)
    assert {path.suffix for path in folder.iterdir()} == {".log"}


def check_secrecy(client, folder):
    """Connections are encrypted, and their credentials are of this user alone."""
    assert client.scheduler.address.startswith("tls://")
    assert all(address.startswith("tls://") for address in client.nthreads())
    secret = {path for path in folder.iterdir() if path.suffix != ".log"}
    assert {path.name for path in secret} == {"credentials.pem", "scheduler.json"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secret)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises((OSError, TypeError)):  # no credentials
        Client(client.scheduler.address, timeout=2, set_as_default=False)
    assert "token" not in client.dashboard_link  # pytest's output is no terminal
    with pytest.raises(HTTPError, match="403"):
        urlopen(client.dashboard_link)
    with build_opener(HTTPCookieProcessor()).open(read_scheduler(folder)[0]["dashboard"]) as page:
        assert page.status == 200
    for port in client.run(lambda dask_worker: dask_worker.http_server.port).values():
        for page in ("status", "metrics", "health", "info/main/workers.html"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://localhost:{port}/{page}")
    told, security = read_scheduler(folder)
    with Client(told["address"], security=security, set_as_default=False) as other:
        assert other.submit(sum, (1, 2)).result() == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"partition": "nowhere"}, "SLURM: .*[Ii]nvalid partition"),
        ({"memory": 10**12}, "SLURM: .*Requested node configuration is not available"),
        ({"gpus": 5}, "SLURM: .*Requested node configuration is not available"),
        ({"sbatch": ("--no-such-option",)}, "SLURM: .*"),
    ],
)
def test_a_job_that_can_never_run_is_refused_and_none_is_left(site, change, expected, everything):
    began = time.monotonic()
    with pytest.raises(ScanError, match=expected):
        cluster.slurm(replace(site, **change))
    assert time.monotonic() - began < 10
    assert not everything()


def test_a_job_that_never_starts_is_given_up_in_time(site, everything):
    began = time.monotonic()
    with pytest.raises(ScanError, match=r"no worker came within 1 s: job \d+ is pending \(PartitionDown\)"):
        cluster.slurm(replace(site, partition="closed", start_timeout=1), dashboard_port=0)
    assert time.monotonic() - began < 10
    assert not everything()


def test_jobs_that_fail_are_told_with_what_they_said(site, monkeypatch, everything):
    monkeypatch.setattr("mumott_dask.cluster.slurm_jobs._LOOKS", (0.2, 0.2))
    broken = replace(site, environment=("echo this module is not here; exit 3",))
    with pytest.raises(ScanError, match=r"job \d+ ended before its workers came: this module is not here"):
        cluster.slurm(broken, dashboard_port=0)
    assert not everything()


DRIVER = """
import sys
from mumott_dask import cluster
from mumott_dask.cluster import Jobs, Site

site = Site(
    cores=8, workers=1, memory=2**30, partition="long", interface="lo", shared=sys.argv[1], jobs=Jobs(4, 4)
)
if __name__ == "__main__":
    with cluster.slurm(site, dashboard_port=0) as client:
        print("here", flush=True)
        sys.stdin.read()
"""


def test_a_driver_that_is_killed_leaves_no_jobs(queue, tmp_path, wait_until, everything):
    """Of its four jobs, the nodes have room for two: the others wait in the queue."""
    (tmp_path / "driver.py").write_text(DRIVER)
    line = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "shared")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "here\n"
        assert any("PENDING" in job for job in everything())
        driver.send_signal(signal.SIGKILL)
    wait_until(lambda: not everything(), 30)
    (folder,) = (tmp_path / "shared").iterdir()
    assert {path.suffix for path in folder.iterdir()} <= {".log"}


def test_each_gpu_of_each_job_has_one_worker(site, without_gpus, wait_until, dask_cuda):
    gpus = replace(site, gpus=2, cores=2, jobs=Jobs(2, 2), memory=2**30, python=without_gpus)
    with cluster.slurm(gpus, dashboard_port=0) as client:
        wait_until(lambda: len(client.nthreads()) == 4)
        assert set(client.nthreads().values()) == {1}
        assert cluster.capacity(client).threads == 4
        name = folder_of(site).name
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert {worker["name"] for worker in workers} == {f"{name}-{j}-{i}" for j in (0, 1) for i in (0, 1)}
        first = [
            seen.split(",")[0] for seen in client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"]).values()
        ]
        jobs = client.run(lambda: os.environ["SLURM_JOB_ID"]).values()
        hosts = client.run(lambda: os.environ["SLURMD_NODENAME"]).values()
        assert len(set(zip(hosts, first, strict=True))) == 4  # no GPU twice
        assert sorted(Counter(jobs).values()) == [2, 2]


@pytest.mark.slow
def test_workers_hand_on_what_they_hold_before_their_time_is_over(site, monkeypatch, tmp_path, wait_until):
    """Two jobs of a minute each, one twenty seconds after the other; what they computed is used later."""
    monkeypatch.setattr("mumott_dask.cluster.slurm_jobs._LOOKS", (1.0, 1.0))

    def compute(number):
        (tmp_path / f"{number}-{time.time()}").touch()
        return number**2

    with cluster.slurm(replace(site, walltime=60), dashboard_port=0) as client:
        (first,) = commands.queued(folder_of(site).name)
        time.sleep(20)
        client.cluster.scale(jobs=2)
        wait_until(lambda: len(client.nthreads()) == 2)
        results = client.map(compute, range(10))
        wait_until(lambda: first not in commands.queued(folder_of(site).name), 120)
        told = subprocess.run(["scontrol", "show", "job", first], capture_output=True, text=True, check=True)
        assert "JobState=COMPLETED" in told.stdout  # and not TIMEOUT
        wait_until(lambda: len(client.nthreads()) == 2)  # another has come
        assert client.gather(results) == [number**2 for number in range(10)]
    assert len(list(tmp_path.glob("*-*"))) == 10  # nothing was computed twice


@pytest.mark.slow
def test_there_are_as_many_jobs_as_there_is_work_for(site, monkeypatch, wait_until):
    monkeypatch.setattr(
        "mumott_dask.cluster.slurm_jobs._ADAPTING",
        {"interval": "1s", "wait_count": 3, "target_duration": "5s"},
    )
    with cluster.slurm(replace(site, jobs=Jobs(0, 2)), dashboard_port=0) as client:
        assert cluster.capacity(client).threads == 2  # that there may be
        jobs = folder_of(site).name
        work = client.map(lambda _: time.sleep(1), range(40), pure=False)
        wait_until(lambda: len(client.nthreads()) == 2)
        client.gather(work)
        del work
        wait_until(lambda: not commands.queued(jobs))
        assert client.submit(sum, (1, 2)).result() == 3  # one comes back


@pytest.mark.slow
def test_work_ends_where_jobs_start_no_longer(site, monkeypatch, tmp_path):
    monkeypatch.setattr("mumott_dask.cluster.slurm_jobs._LOOKS", (1.0, 1.0))
    breaks = replace(site, environment=(f"test ! -e {tmp_path}/broken || exit 3",), start_timeout=20)
    with cluster.slurm(breaks, dashboard_port=0) as client:
        (tmp_path / "broken").touch()
        commands.cancel(folder_of(site).name)
        result = client.submit(sum, (1, 2))
        with (
            pytest.raises(ScanError, match="had no worker for 20 s: do its jobs start"),
            cluster.losses_told(),
        ):
            result.result(timeout=90)


def test_a_network_interface_that_there_is_not_is_told(site, everything):
    with pytest.raises(
        ScanError, match=r"the scheduler does not start: .*ib9.*is not a valid network interface"
    ):
        cluster.slurm(replace(site, interface="ib9"))
    assert not everything()


@pytest.mark.slow
def test_without_tls_where_the_site_says_so(site):
    with cluster.slurm(replace(site, security="none"), dashboard_port=0) as client:
        assert client.scheduler.address.startswith("tcp://")
        assert client.submit(os.getpid).result() != os.getpid()
