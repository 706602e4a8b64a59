"""Workers as SLURM's jobs, scheduled from this process."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from os import PathLike
from typing import Any

from distributed import Client
from distributed.core import Status

from mumott_dask.errors import ScanError

from . import commands
from .jobqueue import SLURMCluster, SLURMJob
from .schedulers import Beginning, Watchdog, wait_for_worker
from .sites import Site, read_site
from .worker_commands import job_options, processes

_LOOKS = (2.0, 30.0)  # seconds between looks at the queue, at first and in the long run
_FAILURES = 3  # jobs in a row that end before their workers come, after which no others are submitted
# A queue is slower than Dask's own processes: a job is kept for a minute after there was work for it.
_ADAPTING = {"interval": "5s", "wait_count": 12, "target_duration": "1 minute"}


def slurm(site: Site | str | PathLike[str], dashboard_port: int = 8787) -> Client:
    """Submit jobs of workers to SLURM, and return a client of them once the first has come.

    The scheduler runs in this process, on a login node or in a job of its own. Jobs that end before their
    time are replaced, and workers hand on what they hold before their job's walltime is over. When this
    process ends, however it ends, all of its jobs are cancelled.

    Parameters
    ----------
    site : Site, or path
        What SLURM is to be told, or the YAML file that says it; see the manual's page on clusters.
    dashboard_port : int
        Port of the dashboard on this machine; another where it is taken. The log says how it is reached.

    Returns
    -------
    distributed.Client
        The active client until it is closed; closing it, or leaving its ``with`` block, cancels the jobs.

    Raises
    ------
    ScanError
        Where SLURM refuses the jobs, or no worker comes within the site's `start_timeout`; no job is left.

    Examples
    --------
    >>> with slurm("site.yaml") as client:  # doctest: +SKIP
    ...     result = align(open_scan("scan.zarr", chunks=capacity()), checkpoint="scan.aligned.zarr")
    """
    site = site if isinstance(site, Site) else read_site(site)
    commands.check_script(job_script(site))
    beginning = Beginning(site, dashboard_port)
    with ExitStack() as undo:
        watchdog = Watchdog(beginning.folder)
        undo.callback(watchdog.close)
        with beginning.configured():
            jobs = SlurmJobs(beginning, watchdog)
        undo.callback(jobs.close)
        jobs.begin()
        client = beginning.client_of(jobs)
        undo.callback(client.close)
        wait_for_worker(client, site.start_timeout, jobs.trouble, jobs.waiting)
        jobs.follow_work()
        undo.pop_all()
    return client


def job_script(site: Site, folder: str = "<folder>") -> str:
    """What is submitted for a job of workers; the scheduler's address is filled in when it is known.

    Parameters
    ----------
    site : Site
    folder : str
        The cluster's folder.

    Returns
    -------
    str
    """
    options = job_options(site)
    options["job_extra_directives"] = [*options["job_extra_directives"], f"-o {folder}/job-%j.log"]
    job = SLURMJob("<scheduler>", name="<name>", job_name="mumott-dask", config_name="slurm", **options)
    return str(job.job_script())


class _Job(SLURMJob):
    """A job that SLURM refuses is one that ends at once: `SlurmJobs` tells of it, and tries again."""

    refused: str | None = None

    async def start(self) -> None:
        try:
            await super().start()
        except RuntimeError as error:
            said = [line for line in str(error).splitlines() if line.strip() and line.strip() != "stderr:"]
            self.refused = said[-1].strip()
            self.status = Status.running

    async def close(self) -> None:
        await super().close()
        self.status = Status.closed


class SlurmJobs(SLURMCluster):
    """A cluster of jobs that replaces those that end."""

    job_cls = _Job

    def __init__(self, beginning: Beginning, watchdog: Watchdog):
        self.site = beginning.site
        self.planned_threads = (self.site.gpus or self.site.cores) * self.site.jobs.maximum
        self._beginning, self._watchdog = beginning, watchdog
        self._arrived: set[str] = set()  # names of jobs whose workers have come
        self._failures = 0
        self._ended: str | None = None
        options = job_options(self.site)
        options["job_extra_directives"] += [f"-o {beginning.folder}/job-%j.log"]
        super().__init__(
            name=beginning.name,
            job_name=beginning.name,
            scheduler_options=beginning.scheduler_options(),
            security=beginning.security,
            shared_temp_directory=str(beginning.folder),
            **options,
        )

    @property
    def dashboard_link(self) -> str:
        """Address of the dashboard on this machine."""
        return self._beginning.shown_link(self)

    def begin(self) -> None:
        """Submit the first jobs."""
        loop: Any = self.loop
        loop.add_callback(self._keep)
        self.scale(jobs=max(self.site.jobs.minimum, 1))

    def follow_work(self) -> None:
        """From now on, run as many jobs as there is work for; without a worker, nobody has any."""
        minimum, maximum = self.site.jobs
        if minimum < maximum:
            self.adapt(minimum_jobs=minimum, maximum_jobs=maximum, **_ADAPTING)

    def trouble(self) -> str | None:
        """Why no more jobs are submitted."""
        return self._ended if self._failures >= _FAILURES else None

    def waiting(self) -> str:
        """What SLURM says of the jobs."""
        listed = sorted(commands.queued(self._name).items())
        told = (f"job {number} is {state.lower()} {reason}" for number, (state, reason) in listed)
        return next(told, "none of its jobs is in the queue")

    def close(self, timeout: float | None = None) -> Any:
        """Cancel the jobs, and end the scheduler."""
        closed = super().close(timeout)
        self._watchdog.close()
        return closed

    def _update_worker_status(self, op: str, msg: Any) -> None:
        if op == "add":
            self._arrived |= {self._job_of(str(each["name"])) for each in msg["workers"].values()}
        super()._update_worker_status(op, msg)

    def _job_of(self, worker: str) -> str:
        return worker.rpartition("-")[0] if processes(self.site) > 1 else worker

    async def _keep(self) -> None:
        seconds, longest = _LOOKS
        while self.status in (Status.created, Status.starting, Status.running):
            await asyncio.sleep(seconds)
            seconds = min(1.3 * seconds, longest)
            await self._replace_ended()

    async def _replace_ended(self) -> None:
        """Submit jobs again that have ended; Dask itself would wait for their workers for ever."""
        before: dict[str, Any] = dict(self.workers)
        try:
            listed = await asyncio.to_thread(commands.queued, self._name)
        except ScanError:  # a busy controller: the next look is soon enough
            return
        there = {self._job_of(str(each["name"])) for each in self.scheduler_info["workers"].values()}
        for name, job in before.items():
            replaced = self.workers.get(name) is not job
            if replaced or name in there or job.job_id in listed:
                continue
            del self.workers[name]
            if name in self._arrived:
                self._arrived.discard(name)
                self._failures = 0
            else:
                self._failures += 1
                self._ended = job.refused or self._why(job.job_id)
        if self._failures < _FAILURES and self.status is Status.running:
            await self._correct_state()

    def _why(self, job: str | None) -> str:
        log = self._beginning.folder / f"job-{job}.log"
        return f"job {job} ended before its workers came: {commands.last_line(log)} ({log})"
