"""``campaign``: many samples at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from mumott_dask.words import duration

from .options import quiet_option
from .running import INTERRUPTED, Commands, say
from .workplaces import Workplace, cluster_options, working_on

if TYPE_CHECKING:
    import pandas as pd

    from mumott_dask.monitor.display import Display


@click.group("campaign", cls=Commands, short_help="Many samples, overnight: run, status, retry.")
def campaign_command() -> None:
    """Align and reconstruct many samples, as a manifest says.

    State and results are one folder. Whatever stops a campaign, the same command goes on with it.
    """


@campaign_command.command("run", epilog="Example: mumott-dask campaign run bones.yaml --workers 8")
@click.argument("manifest", type=click.Path())
@click.option("--plan", is_flag=True, help="Say what memory, disk and time it will take, and stop.")
@cluster_options
@quiet_option
@click.pass_context
def run_command(ctx: click.Context, manifest: str, plan: bool, workplace: Workplace, quiet: bool) -> None:
    """Work on the samples of MANIFEST that are missing, or whose scan or settings have changed.

    What goes wrong with a sample is told in its row of the table, and stops nothing else. Ctrl-C stops; the
    same command goes on.
    """
    if plan:
        _plan(manifest, workplace)
    else:
        _run(ctx, manifest, workplace, quiet)


@campaign_command.command("retry", epilog="Example: mumott-dask campaign retry bones.yaml --failed")
@click.argument("manifest", type=click.Path())
@click.option("--failed", is_flag=True, required=True, help="Those that have failed.")
@cluster_options
@quiet_option
@click.pass_context
def retry_command(ctx: click.Context, manifest: str, failed: bool, workplace: Workplace, quiet: bool) -> None:
    """Try samples of MANIFEST again, beside what run would do."""
    _run(ctx, manifest, workplace, quiet, retry_failed=failed)


@campaign_command.command("status", epilog="Example: mumott-dask campaign status bones.yaml")
@click.argument("manifest", type=click.Path())
def status_command(manifest: str) -> None:
    """Show the table of MANIFEST's samples, also while it runs."""
    from mumott_dask.campaign import campaign_table, read_manifest
    from mumott_dask.campaign.catalogue import verdict_counts

    table = campaign_table(read_manifest(manifest))
    click.echo("\n".join([*_lines(table), "", verdict_counts(table)]))


def _run(
    ctx: click.Context, path: str, workplace: Workplace, quiet: bool, retry_failed: bool = False
) -> None:
    from mumott_dask.campaign import campaign_table, read_manifest, run_campaign
    from mumott_dask.campaign.catalogue import verdict_counts
    from mumott_dask.monitor.display import display
    from mumott_dask.monitor.publishing import shown_at

    manifest = read_manifest(path)
    try:
        with (
            working_on(workplace) as capacity,
            nullcontext() if quiet else display("campaign", every_step=False) as shown,
        ):
            if shown is not None and capacity is not None and (address := shown_at()) is not None:
                shown.tell(f"watch it at {address}")
            run_campaign(manifest, retry_failed, None if shown is None else _watch(shown))
    except KeyboardInterrupt:
        say(f"interrupted: {verdict_counts(campaign_table(manifest))}; the same command goes on")
        ctx.exit(INTERRUPTED)
    click.echo(f"{verdict_counts(campaign_table(manifest))}: {manifest.directory}")


def _plan(path: str, workplace: Workplace) -> None:
    from mumott_dask.campaign import plan_campaign, read_manifest

    from .summaries import text

    manifest = read_manifest(path)
    with working_on(workplace):
        plan = plan_campaign(manifest)
    unreadable = [each for each in plan.estimates if each.error]
    alone = sum(each.alone for each in plan.estimates)
    rows = [
        (
            "samples",
            f"{len(plan.estimates)} to work on, of {plan.samples}; {len(unreadable)} can't be opened",
        ),
        (
            "memory",
            f"{plan.memory / 1e9:.2f} GB at most for one; {alone} don't fit, and have all workers alone",
        ),
        ("disk", f"{plan.disk / 1e9:.3g} GB in {manifest.directory}"),
        ("time", f"{duration(3600 * plan.hours)}, {plan.threads} at once"),
        *(("" if n else "unreadable", _plain(str(each.error))) for n, each in enumerate(unreadable)),
    ]
    click.echo(text(rows))


def _watch(shown: Display) -> Callable[[int, int, dict[str, Any]], None]:
    failed = 0

    def watch(number: int, count: int, record: dict[str, Any]) -> None:
        nonlocal failed
        failed += record["status"] == "failed"
        shown.show(_plain(f"{number}/{count} samples, {failed} failed  {record['sample']}"), number, count)

    return watch


def _lines(table: pd.DataFrame) -> list[str]:
    """A line for each sample, and a heading."""
    from mumott_dask.campaign.catalogue import plain_rows, swept

    settings = swept(table)
    heading = ("sample", *settings, "status", "verdict", "iterations", "residual", "error bar", "seconds", "")
    rows: list[tuple[str, ...]] = [heading]
    rows += [_cells(row, settings) for row in plain_rows(table)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _cells(row: dict[str, Any], settings: list[str]) -> tuple[str, ...]:
    bars = [row[name] for name in ("j_std", "k_std") if row[name] is not None]
    return (
        _plain(row["sample"]),
        *("null" if row[name] is None else _plain(str(row[name])) for name in settings),
        row["status"],
        row["verdict"] or "",
        _number(row["iterations"], "d"),
        _number(row["residual"], ".5f"),
        _number(max(bars, default=None), ".4f"),
        _number(row["seconds"], ".1f"),
        _plain(row["error"] or row["why"] or ""),
    )


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _plain(text: str) -> str:
    """Text of somebody's files, without what a terminal would take for orders."""
    return "".join(each if each.isprintable() else "?" for each in text)
