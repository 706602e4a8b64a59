"""Workers on the nodes of the SLURM job that this process runs in."""

from __future__ import annotations

import asyncio
import os
import subprocess
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from dask.system import CPU_COUNT
from distributed import Client, SpecCluster
from distributed.deploy.spec import ProcessInterface
from distributed.system import MEMORY_LIMIT

from mumott_dask.errors import ScanError

from . import commands
from .folders import forget
from .jobqueue import SLURMJob
from .schedulers import Beginning, wait_for_worker
from .sites import Jobs, Site, read_site
from .worker_commands import environment_lines, job_options

_SHARE = 0.9  # of a node's memory is the workers': the first node has the scheduler and the client as well
_ENDS = 20.0  # seconds that workers have to end


def inside_allocation(site: Site | str | PathLike[str] | None = None, dashboard_port: int = 8787) -> Client:
    """Start workers on all nodes of the SLURM job that this process runs in, and a client of them.

    To be called once, by the batch script's own process. That is scheduler and client, beside the workers
    of the first node: no task of the job is spent on it, and no GPU. Each GPU of the job gets one worker.

    Parameters
    ----------
    site : Site, or path, optional
        Network interface, scratch disk, modules, security and the like; what each node has is asked of SLURM.
    dashboard_port : int
        Port of the dashboard on the first node; another where it is taken. The log says how it is reached.

    Returns
    -------
    distributed.Client
        The active client until it is closed; closing it, or leaving its ``with`` block, ends the workers.

    Raises
    ------
    ScanError
        Outside of a job; where no worker comes.

    Examples
    --------
    >>> with inside_allocation() as client:  # doctest: +SKIP
    ...     result = align(open_scan("scan.zarr", chunks=capacity()), checkpoint="scan.aligned.zarr")
    """
    described = site if isinstance(site, Site) or site is None else read_site(site)
    allocated = allocated_site(described, os.environ)
    beginning = Beginning(allocated, dashboard_port)
    with ExitStack() as undo:
        undo.callback(forget, beginning.folder)
        with beginning.configured():
            cluster = AllocationCluster(beginning)
        undo.callback(cluster.close)
        client = beginning.client_of(cluster)
        undo.callback(client.close)
        wait_for_worker(client, allocated.start_timeout, cluster.trouble, lambda: "srun has started them")
        undo.pop_all()
    return client


def allocated_site(site: Site | None, environment: Mapping[str, str]) -> Site:
    """What a job has of each of its nodes, as SLURM's variables tell it.

    Raises
    ------
    ScanError
        Where they are not there.
    """
    if "SLURM_JOB_ID" not in environment:
        raise ScanError("this process does not run in a SLURM job: expected to be called in a batch script")
    cores = int(environment.get("SLURM_CPUS_ON_NODE", CPU_COUNT))
    gpus = int(environment.get("SLURM_GPUS_ON_NODE", 0))
    nodes = int(environment.get("SLURM_JOB_NUM_NODES", 1))
    told = (  # in MB; 0 stands for all that a node has
        int(environment.get("SLURM_MEM_PER_NODE", 0))
        or int(environment.get("SLURM_MEM_PER_GPU", 0)) * gpus
        or int(environment.get("SLURM_MEM_PER_CPU", 0)) * cores
    )
    memory = int(_SHARE * (told * 2**20 or MEMORY_LIMIT))
    has = {"cores": cores, "memory": memory, "gpus": gpus, "jobs": Jobs(nodes, nodes)}
    if site is None:
        return Site(**has, start_timeout=300.0)  # type: ignore[arg-type]
    workers = None if gpus or (site.workers or 0) > cores else site.workers
    return replace(site, **has, workers=workers)  # type: ignore[arg-type]


def step_command(site: Site, scheduler: str, security: Any) -> list[str]:
    """The command that starts workers on all nodes: the same as in a job's script, by srun."""
    worker = SLURMJob(scheduler, name="node$SLURM_NODEID", security=security, **job_options(site))
    nodes = str(site.jobs.maximum)
    return [
        "srun",
        *("--nodes", nodes, "--ntasks", nodes, "--ntasks-per-node", "1", "--whole"),
        *(
            "--kill-on-bad-exit=0",
            "--wait=0",
            "--unbuffered",
        ),  # one node that is lost does not end the others
        *("bash", "-c", "\n".join([*environment_lines(site), f"exec {worker._command_template}"])),
    ]


class _Step(ProcessInterface):
    """All workers of an allocation."""

    def __init__(self, scheduler: str, name: str, site: Site, security: Any, log: Path):
        super().__init__(scheduler, name)
        self._command = step_command(site, scheduler, security)
        self._log = log
        self.process: Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        await super().start()

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _ENDS)
            except TimeoutError:
                self.process.kill()
        await super().close()


class AllocationCluster(SpecCluster):
    """A scheduler in this process, and one step of the job with all of its workers."""

    def __init__(self, beginning: Beginning):
        site = beginning.site
        self.planned_threads = (site.gpus or site.cores) * site.jobs.maximum
        self._beginning = beginning
        self._output = beginning.folder / "workers.log"
        options = {"site": site, "security": beginning.security, "log": self._output}
        super().__init__(
            scheduler={"cls": "distributed.Scheduler", "options": beginning.scheduler_options()},
            workers={"workers": {"cls": _Step, "options": options}},
            security=beginning.security,
            silence_logs="error",
            name=beginning.name,
        )

    @property
    def dashboard_link(self) -> str:
        """Address of the dashboard on this machine."""
        return self._beginning.shown_link(self)

    def trouble(self) -> str | None:
        """Why there will be no workers."""
        process = self.workers["workers"].process
        if process is None or process.returncode is None:
            return None
        return f"the workers ended before they came: {commands.last_line(self._output)} ({self._output})"

    def close(self, timeout: float | None = None) -> Any:
        """End the workers, then the scheduler."""
        closed = super().close(timeout)
        forget(self._beginning.folder)
        return closed
