"""Dask clusters to work on: one on this machine, or one that runs already (floor 7).

In: numbers of workers and threads, or a scheduler's address. Out: a :class:`distributed.Client`, made the
active one, on which everything chunked is computed from then on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, KilledWorker, default_client
from distributed.client import AllExit, FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.core import rpc
from distributed.security import Security

from .errors import ScanError, ScanWarning
from .placement import workers_of
from .scan import Capacity

log = logging.getLogger(__name__)

_ONE_THREAD_A_TASK = {"NUMBA_NUM_THREADS": "1"}

# A worker that was lost is started again; where the machine is busy, in more than the 15 s after which Dask
# would give it up for good, and wait for ever once all are.
_PATIENCE = {"distributed": {"deploy": {"lost-worker-timeout": "10 minutes"}}}

# A terminal sends Ctrl-C to the workers as well; what becomes of them is for the client's process to say.
# A heartbeat that is under way when the cluster closes fails, and would be logged with its traceback.
_WORKER_SETUP = """
import logging, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
logging.getLogger("distributed.worker").addFilter(
    lambda record: not str(record.msg).startswith("Failed to communicate with scheduler during heartbeat")
)
"""


def _not_given_up(record: logging.LogRecord) -> bool:
    """Whether a record is more than what a Ctrl-C, or a scheduler that was lost, has left behind."""
    left = AllExit | asyncio.CancelledError | CommClosedError
    return not (record.exc_info and isinstance(record.exc_info[1], left))


for _name in ("asyncio", "distributed.client", "distributed.batched"):
    logging.getLogger(_name).addFilter(_not_given_up)


def local(
    workers: int | None = None,
    threads: int | None = None,
    memory_limit: str | float | None = "auto",
    dashboard_address: str | None = ":8787",
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
        Where the dashboard is served, ``":8787"`` by default, or another port of this machine where that one
        is taken; ``":0"`` for any port, None for no dashboard. The client's ``dashboard_link`` says where.

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
    dask.config.update_defaults(_PATIENCE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Port .* is already in use")
        client = Client(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            memory_limit=memory_limit,
            dashboard_address=dashboard_address,
            env=_ONE_THREAD_A_TASK,
            preload=_WORKER_SETUP,
        )
    log.info("started %s, dashboard at %s", client, client.dashboard_link)
    return client


def connect(address: str, timeout: float = 10.0) -> Client:
    """Connect to a Dask scheduler that runs already.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``; what ``dask scheduler`` prints when it starts.
    timeout : float, seconds
        How long to try.

    Returns
    -------
    distributed.Client
        The active client until it is closed. Closing it leaves the cluster as it is.

    Raises
    ------
    ScanError
        When the address is none, or no scheduler answers there in time.

    Warns
    -----
    ScanWarning
        When the scheduler has no workers yet: work then waits for the first.

    Examples
    --------
    >>> with connect("tcp://10.0.0.1:8786") as client:  # doctest: +SKIP
    ...     result = align(open_scan("scan.zarr", chunks=64))
    """
    found = _identity(address, timeout)
    if found.get("type") != "Scheduler":
        raise ScanError(f"{address}: is a Dask {str(found.get('type')).lower()}, expected a scheduler")
    if not found["workers"]:
        warnings.warn(
            f"{address}: the scheduler has no workers yet, the work waits for one", ScanWarning, stacklevel=2
        )
    client = Client(address, timeout=timeout)
    log.info("connected to %s, dashboard at %s", client, client.dashboard_link)
    return client


def capacity(client: Client | None = None) -> Capacity:
    """Threads of a cluster, and the memory that each of them has: what chunks of a scan are chosen for.

    Parameters
    ----------
    client : distributed.Client, optional
        The active one by default.

    Returns
    -------
    Capacity
        Threads of all workers together, and the smallest share of memory that one of them has.

    Raises
    ------
    ScanError
        Where there is no client, or its scheduler has no workers.

    Examples
    --------
    >>> with local(workers=2) as client:  # doctest: +SKIP
    ...     scan = open_scan("scan.zarr", chunks=capacity())
    """
    try:
        client = client or default_client()
    except ValueError as error:
        raise ScanError("there is no active Dask client, expected one of cluster.local or connect") from error
    workers = workers_of(client)
    if not workers:
        address = client.scheduler_info()["address"]
        raise ScanError(f"{address}: the scheduler has no workers yet, expected some")
    shares = [worker.memory / worker.threads for worker in workers if worker.memory]
    return Capacity(sum(worker.threads for worker in workers), min(shares, default=math.inf))


@contextmanager
def losses_told() -> Iterator[None]:
    """Say in one line, as a ScanError, that work ended because its cluster was lost."""
    try:
        yield
    except (FutureCancelledError, CommClosedError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ScanError(f"the Dask cluster that worked on it was lost ({reason})") from error
    except KilledWorker as error:
        raise ScanError(
            f"{error.allowed_failures + 1} Dask workers died of one task: is their memory enough? "
            f"The last was {error.last_worker.address}"
        ) from error


def _identity(address: str, timeout: float) -> dict[str, Any]:
    """Ask what answers at an address what it is.

    Before there is a client: one that fails to connect goes on trying, and complains when it is collected.
    """
    if not isinstance(address, str):
        raise ScanError(f"address is {address!r}, expected one such as 'tcp://10.0.0.1:8786'")
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread already runs an event loop
        try:
            return thread.submit(asyncio.run, _ask(address, timeout)).result()
        except (ValueError, TypeError) as error:
            raise ScanError(
                f"{address!r} is no scheduler's address ({error}), expected one such as 'tcp://10.0.0.1:8786'"
            ) from error
        except (OSError, TimeoutError) as error:
            raise ScanError(
                f"{address}: no Dask scheduler answers there within {timeout:g} s, expected a running one"
            ) from error


async def _ask(address: str, timeout: float) -> dict[str, Any]:
    arguments = Security().get_connection_args("client")
    async with rpc(address, timeout=timeout, connection_args=arguments) as scheduler:
        return dict(await asyncio.wait_for(scheduler.identity(), timeout))
