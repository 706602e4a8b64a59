"""The scheduler of a cluster on SLURM, in the process that asks for it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from mumott_dask.errors import ScanError

from . import dashboards
from .folders import GIVEN, SCHEDULER, forget, new_credentials, new_folder, told_in, write_scheduler
from .owned import OwningClient
from .processes import DEFAULTS
from .sites import Site
from .worker_commands import protocol

log = logging.getLogger(__name__)

# It outlives the process that starts it, even one that is killed: then it reads the end of its input.
_WATCHDOG = """
trap '' HUP INT TERM
cat > /dev/null
scancel --quiet --user="$0" --name="$1" 2> /dev/null
rm -f "$2" "$3"
"""


class Beginning:
    """What a cluster on SLURM begins with: a folder, credentials, and options for its scheduler."""

    def __init__(self, site: Site, dashboard_port: int):
        self.site = site
        self.folder = new_folder(site.shared)
        self.name = self.folder.name
        self.security = new_credentials(self.folder) if site.security == "tls" else None
        self.token = dashboards.new_token()
        self._port = dashboard_port

    def scheduler_options(self) -> dict[str, Any]:
        """Arguments of `distributed.Scheduler`."""
        return {
            "dashboard_address": f"localhost:{self._port}",
            "interface": self.site.driver.interface or self.site.interface,
            "protocol": protocol(self.site),
            "security": self.security,
            "preload": ["mumott_dask.cluster.dashboards"],
        }

    @contextmanager
    def configured(self) -> Iterator[None]:
        """Dask's configuration, as long as the scheduler starts."""
        dask.config.update_defaults(DEFAULTS)
        timeout = {"distributed.scheduler.no-workers-timeout": f"{self.site.start_timeout}s"}
        with dask.config.set({dashboards.TOKEN: self.token, **timeout}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Port .* is already in use")
            try:
                yield
            except RuntimeError as error:
                raise ScanError(f"the scheduler does not start: {error.__cause__ or error}") from error

    def shown_link(self, cluster: Any) -> str:
        """Address of a cluster's dashboard, with the token where it is shown to its owner alone.

        A batch job's output may be anyone's to read; the cluster's folder is not, nor is a terminal.
        """
        link, _ = dashboards.addresses(cluster.scheduler.http_server.port, self.token)
        return link if sys.stderr.isatty() or GIVEN in os.environ else link.partition("?")[0]

    def client_of(self, cluster: Any) -> Client:
        """A client of a cluster that has started, which ends with it; others can join through the folder."""
        link, tunnel = dashboards.addresses(cluster.scheduler.http_server.port, self.token)
        told = {"address": cluster.scheduler_address, "dashboard": link, "tunnel": tunnel}
        write_scheduler(self.folder, told | {"host": socket.gethostname(), "pid": os.getpid()})
        log.info("dashboard at %s, with its token in %s", self.shown_link(cluster), self.folder / SCHEDULER)
        log.info("from elsewhere after: %s", tunnel)
        return OwningClient(cluster)


class Watchdog:
    """A process that cancels a cluster's jobs when this one ends, however it ends."""

    def __init__(self, folder: Path):
        self._process = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, str(os.getuid()), folder.name, *map(str, told_in(folder))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._folder = folder

    def close(self) -> None:
        """Let it do what there is left to do."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        forget(self._folder)


def wait_for_worker(
    client: Client, seconds: float, trouble: Callable[[], str | None], waiting: Callable[[], str]
) -> None:
    """Wait for the first worker.

    Parameters
    ----------
    client : Client
    seconds : float
        How long to wait.
    trouble : callable
        Why none will come; None as long as one may.
    waiting : callable
        What it is that is waited for.

    Raises
    ------
    ScanError
        Where none comes in time, or none will.
    """
    end = time.monotonic() + seconds
    while not client.scheduler_info(n_workers=1)["workers"]:
        why = trouble()
        if why is None and time.monotonic() > end:
            why = f"no worker came within {seconds:g} s: {waiting()}"
        if why is not None:
            raise ScanError(why)
        time.sleep(0.2)
