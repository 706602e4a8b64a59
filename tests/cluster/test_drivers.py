"""Drivers that are not there, and the script of one that is."""

import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mumott_dask.cli import main
from mumott_dask.cluster import Driver, Site
from mumott_dask.cluster.drivers import driver_script, exit_status, followed

SITE = Site(cores=4, memory=2**30, partition="gpu", driver=Driver(memory=2**30, walltime=7200))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["attach"], "no cluster there, expected the folder of one that was submitted"),
        (["stop", "nonsense"], "nonsense: no such cluster, expected the folder of one, or its name in "),
        (["align", "scan.zarr", "--submit"], "--dry-run and --submit need --cluster"),
        (["align", "scan.zarr", "--dry-run", "--workers", "2"], "--dry-run and --submit need --cluster"),
        (["align", "scan.zarr", "--workers", "2", "--cluster", "site.yaml"], "exclude each other"),
        (["align", "scan.zarr", "--submit", "--cluster", "site.yaml"], "site.yaml: cannot be read"),
        (["align", "scan.zarr", "--allocation"], "does not run in a SLURM job"),
    ],
)
def test_what_can_not_be_is_said_in_one_line(monkeypatch, tmp_path, line, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, line, catch_exceptions=False)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())


def test_a_dry_run_shows_the_script_and_does_nothing_else(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.yaml").write_text("cores: 4\nmemory: 8GB\npartition: night\nshared: ./shared\n")
    result = CliRunner().invoke(main, ["align", "scan.zarr", "--cluster", "site.yaml", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "#SBATCH -p night" in result.stdout
    assert result.stdout.splitlines()[0].startswith("#!")
    assert [path.name for path in tmp_path.iterdir()] == ["site.yaml"]


def test_a_driver_is_what_was_typed_as_a_job_of_its_own(tmp_path):
    typed = ["align", "my scan.zarr", "--cluster", "site.yaml"]
    lines = driver_script(SITE, typed, tmp_path).splitlines()
    for directive in (
        "--partition=gpu",
        "--mem=1024M",
        "--time=0-02:00:00",
        "--cpus-per-task=2",
        "--requeue",
    ):
        assert f"#SBATCH {directive}" in lines
    (command,) = (shlex.split(line) for line in lines if " -m mumott_dask " in line)
    assert command[1:] == ["-m", "mumott_dask", *typed]
    without = driver_script(replace(SITE, memory_flag="none"), typed, tmp_path)
    assert "#SBATCH --mem" not in without


def test_what_a_driver_writes_is_followed_until_it_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("mumott_dask.cluster.commands.queued", lambda name: {"1": ("RUNNING", "node1")})
    monkeypatch.setattr("mumott_dask.cluster.drivers._LOOKS", (0.01, 0.01))
    log, texts = tmp_path / "driver.log", []
    log.write_text("one\n")
    assert exit_status(tmp_path) is None
    for text in followed(tmp_path):
        texts.append(text)
        if len(texts) == 1:
            log.write_text("one\ntwo\n")
            (tmp_path / "status").write_text("3\n")
    assert texts == ["one\n", "two\n"]
    assert exit_status(tmp_path) == 3
