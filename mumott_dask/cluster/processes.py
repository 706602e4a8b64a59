"""Worker processes on this machine."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import dask
from distributed import Client

from mumott_dask.errors import ScanError

log = logging.getLogger(__name__)

ONE_THREAD_A_TASK = {"NUMBA_NUM_THREADS": "1"}

# A worker that was lost is started again; where the machine is busy, in more than the 15 s after which Dask
# would give it up for good, and wait for ever once all are.
_PATIENCE = {"distributed.deploy.lost-worker-timeout": "10 minutes"}

# Dask looks 100 times a second at what a worker does, and 50 times at how soon a process answers: 2 % of a
# core for each worker. Its profile of a second takes 90 kB, and its logs keep the last calls and messages.
FEW_LOOKS = {
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.profile.cycle": "10s",
    "distributed.admin.tick.interval": "200ms",
    "distributed.admin.low-level-log-length": 100,
}

DEFAULTS: dict[str, Any] = {}
"""Of Dask's configuration, where the user has said nothing."""
dask.config.set(_PATIENCE | FEW_LOOKS, config=DEFAULTS)

# A terminal sends Ctrl-C to the workers as well; what becomes of them is for the client's process to say.
# A heartbeat that is under way when the cluster closes fails, and would be logged with its traceback; a task
# is given up.
WORKER_SETUP = """
import logging, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
logging.getLogger("distributed.worker").addFilter(
    lambda record: not str(record.msg).startswith("Failed to communicate with scheduler during heartbeat")
)
logging.getLogger("distributed.worker.state_machine").addFilter(
    lambda record: not str(record.msg).startswith("Async instruction for")
)
"""


def local(
    workers: int | None = None,
    threads: int | None = None,
    memory_limit: str | float | None = "auto",
    dashboard_address: str | None = "localhost:8787",
) -> Client:
    """Start worker processes on this machine, and a client of them.

    A worker runs one task on each of its threads, and a task computes on one: numba is kept to one thread in
    the workers, as Dask keeps BLAS, so that `workers` x `threads` cores are busy and no more.

    Parameters
    ----------
    workers : int, optional
        Number of processes; by default as many as suit the machine.
    threads : int, optional
        Threads of each worker; by default the cores are shared out evenly.
    memory_limit : str, float or None
        Memory of each worker, such as ``"4GiB"``; by default the machine's is shared out evenly.
    dashboard_address : str, optional
        Where the dashboard is served: to this machine alone by default, at another port where that one is
        taken; ``":8787"`` to all that can reach the machine, None for no dashboard. The client's
        ``dashboard_link`` says where.

    Returns
    -------
    distributed.Client
        The active client until it is closed; closing it, or leaving its ``with`` block, ends the workers.

    Raises
    ------
    ScanError
        When a number is not a positive one.

    Notes
    -----
    Processes are started afresh and import the script that starts them, which therefore must start them
    under ``if __name__ == "__main__":``.

    Examples
    --------
    >>> with local(workers=2, threads=1) as client:  # doctest: +SKIP
    ...     result = align(open_scan("scan.zarr", chunks=64))
    """
    for name, number in (("workers", workers), ("threads", threads)):
        if number is not None and not (isinstance(number, int) and number >= 1):
            raise ScanError(f"{name} is {number!r}, expected a positive whole number")
    dask.config.update_defaults(DEFAULTS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Port .* is already in use")
        client = Client(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            memory_limit=memory_limit,
            dashboard_address=dashboard_address,
            env=ONE_THREAD_A_TASK,
            preload=WORKER_SETUP,
        )
    log.info("started %s, dashboard at %s", client, client.dashboard_link)
    return client
