"""How workers are started on a site's nodes: the same command in a job of its own and in an allocation."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

from distributed.deploy.local import nprocesses_nthreads  # type: ignore[attr-defined]

from .processes import FEW_LOOKS, ONE_THREAD_A_TASK
from .sites import Site

_FEW_LOOKS = {
    "DASK_" + name.upper().replace(".", "__").replace("-", "_"): value for name, value in FEW_LOOKS.items()
}
_LOST = 60  # seconds without a scheduler after which a worker ends, and its job with it
_LEAVES = (30.0, 1200.0)  # seconds before its job's end in which a worker hands on what it holds


def processes(site: Site) -> int:
    """Worker processes of a job."""
    return site.gpus or site.workers or int(nprocesses_nthreads(site.cores)[0])


def worker_module(site: Site) -> str:
    """Module that starts a job's workers: one for each GPU, or as many as it is told."""
    return "dask_cuda.cli" if site.gpus else "distributed.cli.dask_worker"


def worker_arguments(site: Site) -> list[str]:
    """Arguments beside those that dask_jobqueue knows of."""
    arguments = ["--no-dashboard", "--dashboard-address", "localhost:0"]
    if site.gpus and find_spec("rmm"):
        arguments += ["--rmm-pool-size", "0.5", "--set-rmm-allocator-for-libs", "cupy"]
    return arguments


def protocol(site: Site) -> str:
    """Of connections between scheduler, workers and client."""
    return site.protocol or ("tls" if site.security == "tls" else "tcp")


def prologue(site: Site) -> list[str]:
    """Lines of shell before the command of a job's workers."""
    # In the environment and not on the command line: dask cuda worker has no option for a lifetime.
    duration, stagger = lifetime(site.walltime)
    leaves = {
        "DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION": f"{duration}s",
        "DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER": f"{stagger}s",
    }
    return [*environment_lines(site), *(f"export {name}={value}" for name, value in leaves.items())]


def environment_lines(site: Site) -> list[str]:
    """Lines of shell before the command of any workers."""
    return [
        *(f"module load {module}" for module in site.modules),
        *site.environment,
        *(f"export {name}={value}" for name, value in ONE_THREAD_A_TASK.items()),
        *(f"export {name}=${{{name}:-{value}}}" for name, value in _FEW_LOOKS.items()),
        "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]",  # other users of a node see nothing
    ]


def lifetime(walltime: int) -> tuple[int, int]:
    """Seconds after which a worker leaves, so that it has handed on its results when its job ends.

    The stagger is what it may leave sooner or later by, so that not all of a cluster do so at once.
    """
    spare = min(max(walltime / 4, _LEAVES[0]), _LEAVES[1])
    return math.floor(walltime - spare), math.floor(spare / 4)


def memory_directives(site: Site) -> list[str]:
    """How SLURM is told of the memory that a job wants."""
    if site.memory_flag == "mem":
        return [f"--mem={math.ceil(site.memory / 2**20)}M"]
    if site.memory_flag == "mem-per-gpu":
        return [f"--mem-per-gpu={math.ceil(site.memory / site.gpus / 2**20)}M"]
    return []


def job_options(site: Site) -> dict[str, Any]:
    """Options of `dask_jobqueue.SLURMJob` for a site."""
    count = processes(site)
    return {
        "queue": site.partition,
        "account": site.account,
        "walltime": time_limit(site.walltime),
        # A GPU's worker has one thread, whatever cores its job has for it.
        "cores": count if site.gpus else site.cores,
        "job_cpu": site.cores,
        "processes": count,
        "memory": site.memory,
        "job_directives_skip": ["--mem="],
        "job_extra_directives": [
            *memory_directives(site),
            *([f"--gres=gpu:{site.gpus}"] if site.gpus else []),
            "--no-requeue",  # a job that is lost is replaced by another, under another worker's name
            *site.sbatch,
        ],
        "job_script_prologue": prologue(site),
        "worker_command": worker_module(site),
        "worker_extra_args": worker_arguments(site),
        "death_timeout": _LOST,
        "local_directory": site.scratch,
        "interface": site.interface,
        "protocol": protocol(site),
        "python": site.python,
        "nanny": True,
    }


def time_limit(seconds: int) -> str:
    """A walltime as SLURM takes it."""
    days, rest = divmod(seconds, 86400)
    return f"{days}-{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
