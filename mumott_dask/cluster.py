"""Dask clusters to work on: one on this machine, or one that runs already (floor 7).

In: numbers of workers and threads, or a scheduler's address. Out: a :class:`distributed.Client`, made the
active one, on which everything chunked is computed from then on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import dask
from distributed import Client, KilledWorker, default_client
from distributed.client import AllExit, FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.core import rpc
from distributed.security import Security

from .devices import missing_gpu
from .errors import ScanError, ScanWarning
from .placement import workers_of
from .scan import Capacity

log = logging.getLogger(__name__)

_ONE_THREAD_A_TASK = {"NUMBA_NUM_THREADS": "1"}
_POOL = 0.5  # of a GPU's memory, taken at once; the pool grows from there

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


def cuda(
    gpus: int | Sequence[int] | None = None,
    memory_limit: str | float | None = "auto",
    device_memory_limit: str | float = 0.8,
    dashboard_address: str | None = ":8787",
) -> Client:
    """Start a worker process for each GPU of this machine, and a client of them.

    Each worker has one thread and sees one GPU. What does not fit into its memory is moved to the worker's,
    and from there to disk. Workers talk by UCX where ``ucxx`` is installed, and take memory from a pool of
    RMM's where ``rmm`` is.

    Parameters
    ----------
    gpus : int or sequence of int, optional
        How many GPUs, or their numbers; all by default.
    memory_limit : str, float or None
        Host memory of each worker, such as ``"64GiB"``; by default the machine's is shared out evenly.
    device_memory_limit : str or float
        GPU memory from which on a worker moves data to the host's, such as ``"60GiB"``, or a share of it.
    dashboard_address : str, optional
        See `local`.

    Returns
    -------
    distributed.Client
        The active client until it is closed; closing it, or leaving its ``with`` block, ends the workers.

    Raises
    ------
    ScanError
        Where there is no GPU, or what drives it is not installed; a number of GPUs that is not there.

    Examples
    --------
    >>> with cuda() as client:  # doctest: +SKIP
    ...     result = align(open_scan("scan.zarr", chunks=capacity()), backend="gpu")
    """
    missing = missing_gpu()
    if missing is None and find_spec("dask_cuda") is None:
        missing = "dask_cuda not installed (pip install 'mumott-dask[gpu]')"
    if missing is not None:
        raise ScanError(f"no GPU to start workers for: {missing}")
    from dask_cuda import LocalCUDACluster

    options = cuda_options(gpus, visible_gpus(), memory_limit, device_memory_limit, dashboard_address)
    client = _OfItsOwn(LocalCUDACluster(**options))
    client.run(_take_memory_from_pool)
    log.info("started %s, dashboard at %s", client, client.dashboard_link)
    return client


class _OfItsOwn(Client):
    """A client that ends its cluster with itself, as one that has started it does."""

    def close(self, *arguments: Any, **named: Any) -> Any:
        """Close the client, then the cluster."""
        cluster = self.cluster
        closed = super().close(*arguments, **named)
        if cluster is not None:
            cluster.close()
        return closed


def visible_gpus() -> list[int]:
    """Numbers of the GPUs of this machine that this process may use."""
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [int(part) for part in allowed.split(",") if part.strip().isdigit()]
    return named[:count] if named else list(range(count))


def cuda_options(
    gpus: int | Sequence[int] | None,
    visible: Sequence[int],
    memory_limit: str | float | None = "auto",
    device_memory_limit: str | float = 0.8,
    dashboard_address: str | None = ":8787",
) -> dict[str, Any]:
    """Arguments of `dask_cuda.LocalCUDACluster`; see `cuda`. `visible` are the numbers of the GPUs there."""
    if gpus is None:
        chosen = list(visible)
    elif isinstance(gpus, int):
        chosen = list(visible[:gpus]) if 1 <= gpus <= len(visible) else []
    else:
        chosen = list(gpus) if set(gpus) <= set(visible) else []
    if not chosen:
        raise ScanError(f"gpus is {gpus!r}, expected some of the {len(visible)} that are there: {visible}")
    return {
        "CUDA_VISIBLE_DEVICES": chosen,
        "n_workers": len(chosen),
        "threads_per_worker": 1,
        "memory_limit": memory_limit,
        "device_memory_limit": device_memory_limit,
        "protocol": "ucx" if find_spec("ucxx") else "tcp",
        "rmm_pool_size": _POOL if find_spec("rmm") else None,
        "dashboard_address": dashboard_address,
        "preload": [_WORKER_SETUP],
    }


def _take_memory_from_pool() -> None:
    """Let CuPy take its memory from RMM's pool, on a worker that has one."""
    if find_spec("rmm"):
        import cupy
        from rmm.allocators.cupy import rmm_cupy_allocator

        cupy.cuda.set_allocator(rmm_cupy_allocator)


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
