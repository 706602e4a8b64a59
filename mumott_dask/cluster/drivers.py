"""A driver, scheduler and client, as a small SLURM job of its own, which outlives the login."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mumott_dask.errors import ScanError

from . import commands
from .folders import GIVEN, forget, new_folder, shared_folder
from .sites import Site
from .worker_commands import environment_lines, time_limit

_LOG = "driver.log"
_STATUS = "status"  # holds the exit code, once there is one
_LOOKS = 0.5, 10.0  # seconds between looks at the log, and at the queue

_SCRIPT = """#!/bin/bash
{directives}
trap : TERM  # what ends the driver leaves this script to its last lines
scancel --quiet --name={name}  # left by a driver that was requeued
rm -f {folder}/{status}
{environment}
export {given}={folder}
{command}
status=$?
scancel --quiet --name={name}
echo $status > {folder}/{status}
exit $status
"""


def driver_script(site: Site, arguments: Sequence[str], folder: Path) -> str:
    """The batch script of a driver.

    Parameters
    ----------
    site : Site
    arguments : sequence of str
        Those of the command ``mumott-dask``, with ``--cluster``.
    folder : Path
        The cluster's.

    Returns
    -------
    str
    """
    driver, memory = site.driver, math.ceil(site.driver.memory / 2**20)
    asked = {
        "--job-name": _name(folder),
        "--output": f"{folder}/{_LOG}",
        "--open-mode": "append",
        "--ntasks": 1,
        "--cpus-per-task": driver.cores,
        "--mem": None if site.memory_flag == "none" else f"{memory}M",
        "--time": time_limit(driver.walltime or site.walltime),
        "--partition": driver.partition or site.partition,
        "--account": site.account,
    }
    lines = [f"#SBATCH {name}={value}" for name, value in asked.items() if value is not None]
    return _SCRIPT.format(
        directives="\n".join([*lines, "#SBATCH --requeue"]),
        name=folder.name,
        environment="\n".join(environment_lines(site)),
        given=GIVEN,
        folder=folder,
        command=shlex.join([site.python or sys.executable, "-m", "mumott_dask", *arguments]),
        status=_STATUS,
    )


def submit_driver(site: Site, arguments: Sequence[str]) -> Path:
    """Submit a command as a driver of its own.

    Returns
    -------
    Path
        The cluster's folder, by which it is known from now on.

    Raises
    ------
    ScanError
        Where SLURM refuses it.
    """
    folder = new_folder(site.shared)
    try:
        commands.submit(driver_script(site, arguments, folder))
    except ScanError:
        forget(folder)
        raise
    return folder


def cluster_folder(named: str | None) -> Path:
    """The folder of a submitted driver.

    Parameters
    ----------
    named : str, optional
        The folder, or its name in the usual place; by default the youngest there.

    Raises
    ------
    ScanError
        Where there is none.
    """
    usual = shared_folder(Site.shared)
    if named is None:
        found = sorted(usual.glob("*/" + _LOG), key=lambda log: log.stat().st_mtime)
        if not found:
            raise ScanError(f"{usual}: no cluster there, expected the folder of one that was submitted")
        return found[-1].parent
    for folder in (Path(named).expanduser().absolute(), usual / named):
        if folder.is_dir():
            return folder
    raise ScanError(f"{named}: no such cluster, expected the folder of one, or its name in {usual}")


def followed(folder: Path) -> Iterator[str]:
    """What a driver has written, and what it writes until it ends."""
    between, queue = _LOOKS
    position, looked, works = 0, -math.inf, True
    while works:
        if (folder / _STATUS).exists():
            works = False
        elif time.monotonic() - looked > queue:
            works, looked = bool(commands.queued(_name(folder))), time.monotonic()
        text = _from(folder / _LOG, position)
        position += len(text)
        if text:
            yield text.decode(errors="replace")
        if works:
            time.sleep(between)


def _from(log: Path, position: int) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(position)
            return file.read()
    except FileNotFoundError:  # the job has not started
        return b""


def exit_status(folder: Path) -> int | None:
    """Exit code of a driver that has ended by itself; None of one that was cancelled, or works."""
    try:
        return int((folder / _STATUS).read_text())
    except (OSError, ValueError):
        return None


def stop(folder: Path) -> None:
    """Cancel a driver and all of its jobs."""
    commands.cancel(_name(folder), folder.name)
    forget(folder)


def _name(folder: Path) -> str:
    return f"{folder.name}-driver"
