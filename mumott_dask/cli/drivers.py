"""``attach`` and ``stop``, for what was submitted with --submit."""

from __future__ import annotations

import click

from .running import INTERRUPTED, say

_named = click.argument("cluster", required=False)


@click.command(
    "attach",
    short_help="Watch what was submitted with --submit.",
    epilog="Example: mumott-dask attach mumott-dask-1a2b3c4d",
)
@_named
@click.pass_context
def attach_command(ctx: click.Context, cluster: str | None) -> None:
    """Show what the driver of CLUSTER writes, until it ends, and exit as it does.

    CLUSTER is what --submit has printed; the last one without it. Ctrl-C leaves it alone.
    """
    from mumott_dask.cluster import drivers

    folder = drivers.cluster_folder(cluster)
    try:
        for text in drivers.followed(folder):
            click.echo(text, nl=False)
    except KeyboardInterrupt:
        say(f"{folder.name} goes on")
        ctx.exit(INTERRUPTED)
    status = drivers.exit_status(folder)
    if status is None:
        say(f"{folder.name} was cancelled")
    ctx.exit(1 if status is None else status)


@click.command(
    "stop",
    short_help="Stop what was submitted with --submit.",
    epilog="Example: mumott-dask stop mumott-dask-1a2b3c4d",
)
@_named
def stop_command(cluster: str | None) -> None:
    """Cancel the driver of CLUSTER and all of its jobs.

    CLUSTER is what --submit has printed; the last one without it. The same command, submitted again, goes on
    with what it has left.
    """
    from mumott_dask.cluster import drivers

    folder = drivers.cluster_folder(cluster)
    drivers.stop(folder)
    say(f"{folder.name}: cancelled")
