"""``report`` and ``serve-monitor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import check_new, check_suffix, opened_scan
from .options import overwrite_option
from .running import say

if TYPE_CHECKING:
    import xarray as xr

_PORT = 8790


@click.command(
    "report",
    short_help="Write a report of an alignment or a campaign: one HTML file.",
    epilog="Example: mumott-dask report scan.aligned.zarr --output report.html",
)
@click.argument("result", type=click.Path())
@click.option(
    "--output", "-o", type=click.Path(), metavar="REPORT", help="The file, .html.  [default: RESULT's name]"
)
@click.option(
    "--scan",
    "scan_path",
    type=click.Path(),
    metavar="SCAN",
    help="What was aligned, for its sinogram and tomogram before and after.  [default: where it was, if it "
    "is still there]",
)
@overwrite_option
def report_command(result: str, output: str | None, scan_path: str | None, overwrite: bool) -> None:
    """Write a report of RESULT that needs no network: to keep, to send, to print.

    RESULT is an alignment, or the manifest of a campaign, whose report is a table of its samples.
    """
    from mumott_dask.scan.atomic import replacing

    path = Path(output) if output else Path(result).with_suffix(".html")
    check_suffix(path, ".html")
    check_new(path, overwrite, result)
    html = _of_campaign(result) if _is_manifest(result) else _of_alignment(result, scan_path)
    with replacing(path, overwrite) as partial:
        partial.write_text(html, encoding="utf-8")
    click.echo(f"{path}: {len(html.encode()) / 1e6:.1f} MB")


def _is_manifest(path: str) -> bool:
    return Path(path).suffix in (".yaml", ".yml")


def _of_campaign(path: str) -> str:
    from mumott_dask.campaign import campaign_report, read_manifest

    return campaign_report(read_manifest(path))


def _of_alignment(path: str, scan_path: str | None) -> str:
    from mumott_dask.alignment import open_alignment
    from mumott_dask.monitor import report
    from mumott_dask.reconstruction import reconstruct

    alignment = open_alignment(path)
    scan = _scan_of(alignment, scan_path)
    before = None if scan is None else reconstruct(scan, variable=alignment.attrs.get("variable") or None)
    return report(alignment, scan, before, Path(path).name)


def _scan_of(alignment: xr.Dataset, path: str | None) -> xr.Dataset | None:
    """The scan that was aligned, where it is known."""
    source = path or str(alignment.attrs.get("source", ""))
    if path is None and not (source and Path(source).exists()):
        say("the scan is not where it was: the report has no sinogram; say with --scan where it is")
        return None
    return opened_scan(source, None, None)


@click.command(
    "serve-monitor",
    short_help="Show an alignment or a campaign on disk as the dashboard would.",
    epilog="Example: mumott-dask serve-monitor scan.aligned.zarr --port 8790",
)
@click.argument("result", type=click.Path())
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, metavar="N")
def serve_command(result: str, port: int) -> None:
    """Show RESULT, running or finished, in a browser on this machine, without a cluster.

    RESULT is an alignment, or the manifest of a campaign, whose samples are opened from a table. It is read
    anew as it changes, until Ctrl-C.
    """

    def ready(address: str) -> None:
        say(f"{address}, until Ctrl-C")

    if _is_manifest(result):
        from mumott_dask.campaign import read_manifest, serve_campaign

        serve_campaign(read_manifest(result), port, ready=ready)
    else:
        from mumott_dask.monitor import serve

        serve(result, port, ready=ready)
