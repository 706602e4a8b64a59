"""Joining a cluster that runs already, and what it has to offer."""

from __future__ import annotations

import asyncio
import logging
import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from distributed import Client, default_client
from distributed.core import rpc
from distributed.security import Security

from mumott_dask.errors import ScanError, ScanWarning
from mumott_dask.placement import workers_of
from mumott_dask.scan import Capacity

from .folders import read_scheduler

log = logging.getLogger(__name__)


def connect(address: str, timeout: float = 10.0) -> Client:
    """Connect to a Dask scheduler that runs already.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``; what ``dask scheduler`` prints when it starts. Or the folder of a
        cluster on SLURM, which holds its address and the credentials for it.
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
    security = None
    if address and Path(str(address)).exists():
        told, security = read_scheduler(address)
        address = told["address"]
    found = _identity(address, timeout, security)
    if found.get("type") != "Scheduler":
        raise ScanError(f"{address}: is a Dask {str(found.get('type')).lower()}, expected a scheduler")
    if not found["workers"]:
        warnings.warn(
            f"{address}: the scheduler has no workers yet, the work waits for one", ScanWarning, stacklevel=2
        )
    client = Client(address, timeout=timeout, security=security)
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
        Threads of all workers together, those that SLURM is still to give included, and the smallest share
        of memory that one of them has.

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
    planned = getattr(client.cluster, "planned_threads", 0)
    return Capacity(max(planned, sum(worker.threads for worker in workers)), min(shares, default=math.inf))


def _identity(address: str, timeout: float, security: Security | None) -> dict[str, Any]:
    """Ask what answers at an address what it is.

    Before there is a client: one that fails to connect goes on trying, and complains when it is collected.
    """
    if not isinstance(address, str):
        raise ScanError(f"address is {address!r}, expected one such as 'tcp://10.0.0.1:8786'")
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread already runs an event loop
        try:
            return thread.submit(asyncio.run, _ask(address, timeout, security)).result()
        except (ValueError, TypeError) as error:
            raise ScanError(
                f"{address!r} is no scheduler's address ({error}), expected one such as 'tcp://10.0.0.1:8786'"
            ) from error
        except (OSError, TimeoutError) as error:
            raise ScanError(
                f"{address}: no Dask scheduler answers there within {timeout:g} s, expected a running one"
            ) from error


async def _ask(address: str, timeout: float, security: Security | None) -> dict[str, Any]:
    arguments = (security or Security()).get_connection_args("client")
    async with rpc(address, timeout=timeout, connection_args=arguments) as scheduler:
        return dict(await asyncio.wait_for(scheduler.identity(), timeout))
