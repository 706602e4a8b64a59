"""A worker process for each GPU of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import dask
from distributed import Client

from mumott_dask.devices import missing_gpu
from mumott_dask.errors import ScanError

from .owned import OwningClient
from .processes import DEFAULTS, WORKER_SETUP

log = logging.getLogger(__name__)

_POOL = 0.5  # of a GPU's memory, taken at once; the pool grows from there


def cuda(
    gpus: int | Sequence[int] | None = None,
    memory_limit: str | float | None = "auto",
    device_memory_limit: str | float = 0.8,
    dashboard_address: str | None = "localhost:8787",
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
    dask.config.update_defaults(DEFAULTS)
    client = OwningClient(LocalCUDACluster(**options))
    client.run(_take_memory_from_pool)
    log.info("started %s, dashboard at %s", client, client.dashboard_link)
    return client


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
    dashboard_address: str | None = "localhost:8787",
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
        "preload": [WORKER_SETUP],
    }


def _take_memory_from_pool() -> None:
    """Let CuPy take its memory from RMM's pool, on a worker that has one."""
    if find_spec("rmm"):
        import cupy
        from rmm.allocators.cupy import rmm_cupy_allocator

        cupy.cuda.set_allocator(rmm_cupy_allocator)
