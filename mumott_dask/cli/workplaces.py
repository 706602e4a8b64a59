"""Where a command's work is done: in this process, on workers of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .options import Decorator
from .running import say

if TYPE_CHECKING:
    from mumott_dask.scan import Capacity


class Workplace(NamedTuple):
    """Where a command's work is to be done; in this process where nothing is named."""

    workers: int | None = None  #: processes to start on this machine
    scheduler: str | None = None  #: address of a running scheduler


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--workers`` and ``--scheduler``, handed to the command together as its `workplace`."""

    @wraps(command)
    def at_a_workplace(*arguments: Any, workers: int | None, scheduler: str | None, **named: Any) -> Any:
        return command(*arguments, workplace=Workplace(workers, scheduler), **named)

    options: tuple[Decorator, ...] = (
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Work on N worker processes of this machine.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Work on a running Dask cluster, such as tcp://10.0.0.1:8786.",
        ),
    )
    decorated: Callable[..., Any] = at_a_workplace
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


@contextmanager
def working_on(workplace: Workplace, gpus: bool = False) -> Iterator[Capacity | None]:
    """Cluster to work on, as long as the block runs.

    Parameters
    ----------
    workplace : Workplace
    gpus : bool
        Whether each worker of this machine gets a GPU.

    Yields
    ------
    Capacity or None
        What works there; None without a cluster.
    """
    workers, scheduler = workplace
    if workers is not None and scheduler is not None:
        raise click.UsageError(
            "--workers and --scheduler exclude each other: one starts a cluster, one joins it"
        )
    if workers is None and scheduler is None:
        yield None
        return
    from mumott_dask import cluster

    if scheduler is not None:
        client = cluster.connect(scheduler)
    else:
        client = cluster.cuda(workers) if gpus else cluster.local(workers)
    with cluster.losses_told(), client:
        say(f"{len(client.nthreads())} workers, dashboard at {client.dashboard_link}")
        client.wait_for_workers(1)
        yield cluster.capacity(client)
