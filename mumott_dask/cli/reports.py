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
    short_help="Write a report of an alignment: one HTML file.",
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
    """Write a report of the alignment RESULT that needs no network: to keep, to send, to print."""
    from mumott_dask.alignment import open_alignment
    from mumott_dask.monitor import report
    from mumott_dask.reconstruction import reconstruct
    from mumott_dask.scan.atomic import replacing

    path = Path(output) if output else Path(result).with_suffix(".html")
    check_suffix(path, ".html")
    check_new(path, overwrite, result)
    alignment = open_alignment(result)
    scan = _scan_of(alignment, scan_path)
    before = None if scan is None else reconstruct(scan, variable=alignment.attrs.get("variable") or None)
    html = report(alignment, scan, before, Path(result).name)
    with replacing(path, overwrite) as partial:
        partial.write_text(html, encoding="utf-8")
    click.echo(f"{path}: {len(html.encode()) / 1e6:.1f} MB")


def _scan_of(alignment: xr.Dataset, path: str | None) -> xr.Dataset | None:
    """The scan that was aligned, where it is known."""
    source = path or str(alignment.attrs.get("source", ""))
    if path is None and not (source and Path(source).exists()):
        say("the scan is not where it was: the report has no sinogram; say with --scan where it is")
        return None
    return opened_scan(source, None, None)


@click.command(
    "serve-monitor",
    short_help="Show an alignment on disk as the dashboard would.",
    epilog="Example: mumott-dask serve-monitor scan.aligned.zarr --port 8790",
)
@click.argument("result", type=click.Path())
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, metavar="N")
def serve_command(result: str, port: int) -> None:
    """Show the alignment RESULT, running or finished, in a browser on this machine, without a cluster.

    It is read anew as it changes, until Ctrl-C.
    """
    from mumott_dask.monitor import serve

    serve(result, port, ready=lambda address: say(f"{address}, until Ctrl-C"))
