"""``align`` and ``compare``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .files import check_new, check_suffix, opened_offsets, opened_scan
from .options import (
    Gauge,
    Labels,
    Window,
    backend_option,
    chunks_option,
    overwrite_option,
    quiet_option,
    segment_options,
)
from .running import INTERRUPTED, say
from .workplaces import Workplace, cluster_options, working_on

if TYPE_CHECKING:
    import xarray as xr

    from mumott_dask.devices import Backend

_METHODS = ("auto", "line", "optical-flow", "phase-matching", "tutorial")


@click.command(
    "align",
    short_help="Find the offsets of all projections.",
    epilog="Example: mumott-dask align scan.h5 --output scan.aligned.zarr --exclude 12,40-42",
)
@click.argument("scan", type=click.Path())
@click.option(
    "--output",
    "-o",
    type=click.Path(),
    help="The alignment, .zarr.  [default: SCAN's name with .aligned.zarr]",
)
@click.option(
    "--method", type=click.Choice(_METHODS), default="auto", show_default=True, help="How to align."
)
@click.option(
    "--start",
    default="scan",
    show_default=True,
    metavar="scan|zero|RESULT",
    help="Offsets to start from: those that the scan holds, none, or another alignment's.",
)
@click.option("--exclude", type=Labels(), default=(), metavar="3,17-20", help="Projections to leave out.")
@click.option(
    "--fixed", type=Labels(), default=(), metavar="0,5-9", help="Projections to use but not to move."
)
@click.option(
    "--directions",
    type=click.Choice(("jk", "j", "k")),
    default="jk",
    show_default=True,
    help="Offsets to find.",
)
@click.option(
    "--window", type=Window(), metavar="J0:J1,K0:K1", help="Pixels to find the offsets from.  [default: all]"
)
@click.option(
    "--gauge",
    type=Gauge(),
    default="auto",
    show_default=True,
    metavar="auto|keep|mass|X,Y,Z",
    help="Where the sample lies in the volume: as in the start, with its centre of mass in the middle, or "
    "X,Y,Z voxels from there.",
)
@click.option(
    "--upsampling",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Phase matching finds shifts to an Nth of a pixel.",
)
@click.option(
    "--shift-cap",
    type=float,
    metavar="PIXELS",
    help="Largest shift of an iteration of phase matching.  [default: a quarter of the detector]",
)
@click.option(
    "--variable", metavar="NAME", help="The signal to align, or data.  [default: the diode's absorbance]"
)
@segment_options
@click.option(
    "--background",
    type=click.Choice(("constant", "linear")),
    help="Also find an air level in each projection: one for the whole image, or with slopes along j and k. "
    "For a flux that drifts, an uneven beam, or a sample that leaves no air in view.  [default: constant "
    "where the views cut the sample, else none]",
)
@click.option(
    "--refine-angles",
    is_flag=True,
    help="Also find three small rotations of each projection, written back as its rotation matrix: for a "
    "stage whose angles are off by a degree or so, each by its own.",
)
@click.option(
    "--refine-geometry",
    is_flag=True,
    help="Also find the rotation of the instrument, the same in all projections: for a rotation axis that is "
    "tilted in the detector's plane or towards the beam.",
)
@click.option(
    "--iterations", type=click.IntRange(min=1), metavar="N", help="The largest number of iterations."
)
@click.option(
    "--tolerance",
    type=float,
    default=0.001,
    show_default=True,
    metavar="PIXELS",
    help="Largest step of the last iteration.",
)
@backend_option
@cluster_options
@chunks_option
@overwrite_option
@quiet_option
@click.pass_context
def align_command(
    ctx: click.Context,
    scan: str,
    output: str | None,
    workplace: Workplace,
    backend: Backend,
    chunks: Any,
    overwrite: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Find the offsets of all projections of SCAN.

    Ctrl-C writes the last whole iteration, marked as not converged. The same command goes on with what was
    interrupted or killed, and ends as if it had never been stopped.
    """
    from mumott_dask.alignment import align
    from mumott_dask.alignment.checkpoint import is_unfinished
    from mumott_dask.monitor import watch_alignment

    from . import summaries

    path = Path(output) if output else Path(scan).with_suffix(".aligned.zarr")
    check_suffix(path, ".zarr")
    check_new(path, overwrite or is_unfinished(path), scan)
    with working_on(workplace, backend == "gpu") as capacity:
        whole = capacity is None and chunks is None
        opened = opened_scan(scan, capacity, "auto" if whole else chunks)
        began = time.monotonic()
        with watch_alignment(name=Path(scan).name, show=not quiet) as watch:
            result = align(
                scan if whole else opened,  # what it has read of a path, it lets go as soon as it can
                backend=backend,
                checkpoint=path,
                overwrite=overwrite,
                watch=watch,
                **settings,
            )
        took = time.monotonic() - began
    rows = [("alignment", str(path)), *summaries.alignment_summary(result)]
    rows += [*summaries.turns_summary(result, opened), ("time", f"{took:.1f} s")]
    click.echo(summaries.text([*rows, *_against_truth(result, opened)]))
    if result.attrs["reason"] == "interrupted":
        say(f"interrupted: the last whole iteration is in {path}, not converged; the same command goes on")
        ctx.exit(INTERRUPTED)
    if result.attrs["reason"] == "stopped":
        say(f"stopped: the last iteration is in {path}, not converged; the same command goes on")


@click.command(
    "compare",
    short_help="Compare two sets of offsets.",
    epilog="Example: mumott-dask compare scan.aligned.zarr truth --scan scan.zarr --plot difference.png",
)
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.option(
    "--scan",
    "scan_path",
    type=click.Path(),
    metavar="SCAN",
    help="Whose geometry says what the gauge is, and which holds the truth.  [default: A or B, if a scan]",
)
@click.option(
    "--plot", type=click.Path(), metavar="PICTURE", help="Draw the differences: .png, .pdf or .svg."
)
@overwrite_option
def compare_command(a: str, b: str, scan_path: str | None, plot: str | None, overwrite: bool) -> None:
    """Compare two sets of offsets, A and B, with the gauge taken out.

    Each is an alignment, a scan (the offsets that it holds), or the word truth (those that a simulated scan
    was made with). What moving the whole sample explains counts for nothing; neither do projections that one
    of the two calls entirely wrong.
    """
    from mumott_dask.alignment import compare

    if plot is not None:
        check_suffix(plot, ".png", ".pdf", ".svg")
        check_new(plot, overwrite)
    left, right = ("truth" if name == "truth" else opened_offsets(name) for name in (a, b))
    compared = compare(left, right, _geometry_of(scan_path, left, right))
    click.echo("\n".join([_difference(compared), *_besides(compared)]))
    if plot is not None:
        _draw(compared, plot, overwrite)


def _against_truth(result: xr.Dataset, scan: xr.Dataset) -> list[tuple[str, str]]:
    """RMS error of an alignment of a simulated scan, which knows the truth."""
    from mumott_dask.alignment import compare

    if "j_offset_true" not in scan.coords:
        return []
    compared = compare(result, "truth", scan)
    rows = [("truth", f"{_difference(compared)} from the true offsets")]
    return [*rows, *(("", line) for line in _besides(compared))]


def _difference(compared: xr.Dataset) -> str:
    rms, largest = compared.attrs["rms"], compared.attrs["largest"]
    return f"RMS {rms:.4g} pixel, largest {largest:.4g} pixel (gauge taken out)"


def _besides(compared: xr.Dataset) -> list[str]:
    """Say how far rotations are apart, and which projections count for nothing, where there is any of it."""
    from mumott_dask.words import listed

    from .summaries import degrees

    attrs = compared.attrs
    lines = []
    if "angle_rms" in attrs:
        lines.append(f"rotations: RMS {degrees(attrs['angle_rms'])} apart (mean rotation taken out)")
    if attrs["wrong"]:
        lines.append(f"wrong projections, which count for nothing: {listed(attrs['wrong'])}")
    return lines


def _geometry_of(scan_path: str | None, *sides: xr.Dataset | str) -> xr.Dataset:
    """Return the scan of --scan, or the first side that is one."""
    from mumott_dask.scan import open_scan

    if scan_path is not None:
        return open_scan(scan_path, chunks="auto")
    for side in sides:
        if not isinstance(side, str) and "rotation" in side.coords:
            return side
    raise click.UsageError("neither is a scan: say with --scan which one was aligned")


def _draw(compared: xr.Dataset, path: str, overwrite: bool) -> None:
    from matplotlib.figure import Figure

    from mumott_dask import plot
    from mumott_dask.scan.atomic import replacing

    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    plot.comparison(compared, figure.subplots())
    with replacing(path, overwrite) as partial:
        figure.savefig(partial, dpi=150)
