"""Where a command's work is done: in this process, on workers of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from .options import together
from .running import TYPED, say

if TYPE_CHECKING:
    from distributed import Client

    from mumott_dask.scan import Capacity


class Workplace(NamedTuple):
    """Where a command's work is to be done; in this process where nothing is named."""

    workers: int | None = None  #: processes to start on this machine
    scheduler: str | None = None  #: address of a running scheduler
    site: str | None = None  #: file that describes a site's SLURM
    allocation: bool = False  #: whether to work on the nodes of the job that this runs in
    submit: bool = False  #: whether to let a SLURM job of its own do it, and not to wait
    dry_run: bool = False  #: whether to show what would be submitted, and do nothing


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--workers``, ``--scheduler``, ``--cluster``: handed to the command together as its `workplace`."""

    @wraps(command)
    def at_a_workplace(*arguments: Any, **named: Any) -> Any:
        workplace = Workplace(**{name: named.pop(name) for name in Workplace._fields})
        return command(*arguments, workplace=workplace, **named)

    return _options(at_a_workplace)


_options = together(
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
    click.option(
        "--cluster",
        "site",
        type=click.Path(),
        metavar="FILE",
        help="Work on jobs of SLURM's, as FILE describes the site.",
    ),
    click.option(
        "--allocation",
        is_flag=True,
        help="Work on all nodes of the SLURM job that this runs in; --cluster says what there is to say.",
    ),
    click.option(
        "--submit",
        is_flag=True,
        help="With --cluster, leave everything to a job that outlives this login; see attach and stop.",
    ),
    click.option("--dry-run", is_flag=True, help="With --cluster, print the script of a job and stop."),
)


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
    _check(workplace)
    if workplace.dry_run:
        _show_script(workplace)
    if workplace.submit:
        _submit(workplace)
    if not any(workplace):
        yield None
        return
    from mumott_dask import cluster

    with cluster.losses_told(), _client(workplace, gpus) as client:
        client.wait_for_workers(1)
        yield cluster.capacity(client)


def _check(workplace: Workplace) -> None:
    slurm = workplace.site or workplace.allocation or None
    if len([each for each in (workplace.workers, workplace.scheduler, slurm) if each is not None]) > 1:
        raise click.UsageError(
            "--workers, --scheduler and --cluster exclude each other: one starts workers here, one joins a "
            "cluster, one asks SLURM for it"
        )
    if (workplace.dry_run or workplace.submit) and (workplace.site is None or workplace.allocation):
        raise click.UsageError("--dry-run and --submit need --cluster, whose jobs they are about")


def _client(workplace: Workplace, gpus: bool) -> Client:
    from mumott_dask import cluster

    if workplace.allocation:
        return cluster.inside_allocation(workplace.site)
    if workplace.site is not None:
        return cluster.slurm(workplace.site)
    if workplace.scheduler is not None:
        client = cluster.connect(workplace.scheduler)
    else:
        client = cluster.cuda(workplace.workers) if gpus else cluster.local(workplace.workers)
    say(f"{len(client.nthreads())} workers, dashboard at {client.dashboard_link}")
    return client


def _show_script(workplace: Workplace) -> NoReturn:
    from mumott_dask import cluster

    click.echo(cluster.job_script(cluster.read_site(str(workplace.site))), nl=False)
    click.get_current_context().exit()


def _submit(workplace: Workplace) -> NoReturn:
    from mumott_dask import cluster
    from mumott_dask.cluster import drivers

    context = click.get_current_context()
    site = cluster.read_site(str(workplace.site))
    folder = drivers.submit_driver(site, [each for each in context.meta[TYPED] if each != "--submit"])
    say(f"submitted; mumott-dask attach {folder} shows how it goes, mumott-dask stop {folder} ends it")
    context.exit()
