"""What is written into a job's script is what the programs that read it understand."""

import shlex
import subprocess
import sys
from dataclasses import replace

import dask
import pytest
from distributed.cli.dask_worker import main as dask_worker

from mumott_dask import cluster
from mumott_dask.cluster import Site
from mumott_dask.cluster.folders import new_credentials
from mumott_dask.cluster.jobqueue import SLURMJob
from mumott_dask.cluster.worker_commands import job_options, lifetime

CPU = Site(cores=8, memory=16 * 2**30, workers=2, scratch="$TMPDIR", interface="ib0")
GPU = Site(cores=32, memory=240 * 2**30, gpus=4, partition="gpu", account="me", memory_flag="mem-per-gpu")


def script_of(site, folder):
    security = new_credentials(folder) if site.security == "tls" else None
    job = SLURMJob("tls://10.0.0.1:8786", name="name-0", security=security, **job_options(site))
    return job.job_script()


def command_of(script):
    line = shlex.split(script.splitlines()[-1])
    assert line[:2] == [sys.executable, "-m"]
    return line[2], line[3:]


def parsed(command, arguments):
    """What click makes of a command line; an option that it does not know is an error."""
    with command.make_context("worker", list(arguments)) as context:
        return context.params


def test_dask_worker_understands_its_command(tmp_path):
    module, arguments = command_of(script_of(CPU, tmp_path))
    assert module == "distributed.cli.dask_worker"
    params = parsed(dask_worker, arguments)
    assert params["scheduler"] == "tls://10.0.0.1:8786"
    assert (params["n_workers"], params["nthreads"], params["memory_limit"]) == ("2", 4, "8.00GiB")
    assert params["death_timeout"] == "60"
    assert params["local_directory"] == "$TMPDIR"
    assert params["interface"] == "ib0"
    assert params["protocol"] == "tls"
    assert (
        params["tls_key"] == params["tls_cert"] == params["tls_ca_file"] == str(tmp_path / "credentials.pem")
    )
    assert params["dashboard"] is False


def test_dask_cuda_worker_understands_its_command(tmp_path, dask_cuda):
    from dask_cuda.cli import worker

    module, arguments = command_of(script_of(GPU, tmp_path))
    assert module == "dask_cuda.cli"
    params = parsed(worker, arguments)
    assert not {"preload_argv", "lifetime"} & {name for name, value in params.items() if value}
    assert (params["nthreads"], params["memory_limit"]) == (1, "60.00GiB")
    assert params["tls_key"] == str(tmp_path / "credentials.pem")


def test_an_option_that_there_is_not_would_be_noticed(tmp_path):
    """The test of the tests above."""
    _, arguments = command_of(script_of(CPU, tmp_path))
    with pytest.raises(Exception, match=r"[Nn]o such option.*no-such-option"):
        parsed(dask_worker, [*arguments, "--no-such-option"])


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (CPU, ["--mem=16384M"]),
        (GPU, ["--mem-per-gpu=61440M"]),
        (replace(CPU, memory_flag="none"), []),
        (replace(GPU, memory_flag="none"), []),
        (replace(GPU, memory_flag="mem"), ["--mem=245760M"]),
    ],
)
def test_memory_is_asked_for_as_the_site_wants_it(site, expected):
    lines = [
        line.removeprefix("#SBATCH ") for line in cluster.job_script(site).splitlines() if "#SBATCH" in line
    ]
    assert [line for line in lines if "mem" in line.replace("mumott", "").split("=")[0]] == expected


def test_a_job_has_a_worker_for_each_gpu_and_all_of_its_cores():
    lines = cluster.job_script(GPU).splitlines()
    for line in (
        "-p gpu",
        "-A me",
        "--gres=gpu:4",
        "--cpus-per-task=32",
        "-n 1",
        "-t 0-01:00:00",
        "--no-requeue",
    ):
        assert f"#SBATCH {line}" in lines
    assert job_options(GPU)["processes"] == 4


def exported(**before):
    """What a job's workers find in their environment, which the site's lines may have filled before."""
    lines = [line for line in cluster.job_script(CPU).splitlines() if "export" in line]
    shell = ["env", "-i", *(f"{name}={value}" for name, value in before.items()), "/bin/sh", "-c"]
    found = subprocess.run([*shell, "\n".join([*lines, "env"])], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in found.stdout.splitlines())


def test_workers_read_their_settings_from_the_environment():
    environment = exported()
    assert environment.pop("NUMBA_NUM_THREADS") == "1"
    settings = dask.config.collect_env(environment)
    duration, stagger = lifetime(CPU.walltime)
    assert settings["distributed"]["worker"] == {
        "lifetime": {"duration": f"{duration}s", "stagger": f"{stagger}s"},
        "http": {"routes": []},
        "profile": {"cycle": "10s", "interval": "100ms"},
    }
    assert settings["distributed"]["admin"] == {"low_level_log_length": 100, "tick": {"interval": "200ms"}}


def test_a_site_may_set_how_long_workers_remember():
    settings = dask.config.collect_env(exported(DASK_DISTRIBUTED__WORKER__PROFILE__CYCLE="1s"))
    assert settings["distributed"]["worker"]["profile"]["cycle"] == "1s"


@pytest.mark.parametrize("walltime", [60, 600, 3600, 12 * 3600, 7 * 86400])
def test_workers_leave_before_their_job_ends(walltime):
    duration, stagger = lifetime(walltime)
    assert walltime / 3 < duration - stagger
    assert duration + stagger <= walltime - 20
    assert duration - stagger >= walltime - 1500 or walltime < 3600


@pytest.mark.parametrize("in_a_thread", [False, True])
def test_dask_jobqueue_is_imported_without_a_change_to_ctrl_c(in_a_thread):
    code = """
import signal, sys, threading
before = signal.getsignal(signal.SIGINT)
def load():
    import mumott_dask.cluster.slurm_jobs
if sys.argv[1] == "True":
    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
else:
    load()
assert "dask_jobqueue.runner" in sys.modules
assert signal.getsignal(signal.SIGINT) is before
assert signal.signal.__name__ == "signal"
"""
    subprocess.run([sys.executable, "-c", code, str(in_a_thread)], check=True, timeout=120)
