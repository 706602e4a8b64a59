"""``info`` and ``convert``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .files import check_new, check_suffix, kind_of
from .options import alignment_option, chunks_option, overwrite_option, quiet_option
from .workplaces import Workplace, cluster_options, working_on

if TYPE_CHECKING:
    import xarray as xr

_HDF5 = (".h5", ".hdf5")
_NOMINAL = ("inner_angle", "outer_angle", "inner_axis", "outer_axis")
_SCANS = (".zarr", *_HDF5, ".mumott")


@click.command(
    "info",
    short_help="What a scan, an alignment or a tomogram is.",
    epilog="Example: mumott-dask info scan.h5",
)
@click.argument("path", metavar="SCAN|RESULT", type=click.Path())
@click.option("--pixels", is_flag=True, help="Read the pixels too: their range, and how many are masked.")
def info_command(path: str, pixels: bool) -> None:
    """Tell what a scan, an alignment or a tomogram is."""
    from mumott_dask.alignment import open_alignment
    from mumott_dask.alignment.checkpoint import open_unfinished
    from mumott_dask.scan import open_scan
    from mumott_dask.scan.tomogram_files import read_tomogram

    from . import summaries

    kind = kind_of(path)
    if kind == "alignment":
        result = open_alignment(path)
        rows = [*summaries.alignment_summary(result), *summaries.alignment_settings(result)]
    elif kind == "unfinished alignment":
        rows = summaries.unfinished_summary(open_unfinished(path))
    elif kind == "tomogram":
        rows = summaries.tomogram_summary(read_tomogram(path))
    else:
        scan = open_scan(path, chunks="auto")
        rows = [*summaries.scan_summary(scan), *(summaries.pixel_summary(scan) if pixels else [])]
    click.echo(summaries.text([(kind, path), *rows]))


@click.command(
    "convert",
    short_help="Write a scan in another format.",
    epilog="Example: mumott-dask convert scan.h5 aligned.mumott --alignment scan.aligned.zarr",
)
@click.argument("scan", type=click.Path())
@click.argument("out", type=click.Path())
@alignment_option
@click.option(
    "--link", is_flag=True, help="Link an HDF5 output to the pixels in SCAN instead of copying them."
)
@cluster_options
@chunks_option
@overwrite_option
@quiet_option
def convert_command(
    scan: str,
    out: str,
    alignment: str | None,
    link: bool,
    workplace: Workplace,
    chunks: Any,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write SCAN as OUT, in the format of its name.

    \b
    .zarr    a Zarr store: everything, bit for bit
    .h5      mumott's HDF5; with --link, small, beside the file that holds the pixels
    .mumott  mumott's geometry file: rotations and offsets alone

    Where the rotations of an alignment were refined, the stage's nominal angles and axes, which would
    contradict them, are left out.
    """  # noqa: D301 - click reads the \b
    from mumott_dask.monitor import watch_computation
    from mumott_dask.scan import open_scan, write_scan
    from mumott_dask.scan.hdf5_writer import write_hdf5

    suffix = Path(out).suffix.lower()
    check_suffix(out, *_SCANS)
    check_new(out, overwrite, scan, alignment)
    if link and suffix not in _HDF5:
        raise click.UsageError("--link needs an HDF5 output, a name that ends in .h5")
    if any(workplace) and suffix != ".zarr":
        raise click.UsageError("workers need a .zarr output: one process writes the others")
    with working_on(workplace):
        opened = open_scan(scan, chunks=chunks or "auto")  # as files are cut: each task writes one
        if alignment is not None:
            opened = _aligned(opened, alignment)
        computations = len(opened.unify_chunks().chunksizes["projection"]) if suffix in _HDF5 else 1
        shown = nullcontext() if quiet or link else watch_computation(f"writing {out}", computations)
        with shown:
            if link:
                write_hdf5(opened, out, overwrite, link_to=scan)
            else:
                write_scan(opened, out, overwrite)


def _aligned(scan: xr.Dataset, alignment: str) -> xr.Dataset:
    """The scan in the geometry of an alignment, without angles that its rotations are not made of."""
    from mumott_dask.alignment import with_offsets

    aligned = with_offsets(scan, alignment)
    if (aligned["rotation"].values == scan["rotation"].values).all():
        return aligned
    return aligned.drop_vars([name for name in _NOMINAL if name in aligned.coords])
