"""``reconstruct``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from .files import check_new, check_suffix, opened_scan
from .options import (
    alignment_option,
    backend_option,
    chunks_option,
    overwrite_option,
    quiet_option,
    segment_options,
)
from .workplaces import Workplace, cluster_options, working_on

if TYPE_CHECKING:
    from mumott_dask.devices import Backend

_TOMOGRAMS = (".zarr", ".h5", ".hdf5", ".tif", ".tiff", ".mrc")


@click.command(
    "reconstruct",
    short_help="Reconstruct a tomogram.",
    epilog="Example: mumott-dask reconstruct scan.h5 --alignment scan.aligned.zarr --output bone.tif",
)
@click.argument("scan", type=click.Path())
@click.option(
    "--output", "-o", type=click.Path(), required=True, help="The tomogram: .zarr, .h5, .tif or .mrc."
)
@alignment_option
@click.option("--iterations", type=click.IntRange(min=1), default=20, show_default=True, metavar="N")
@click.option(
    "--tolerance",
    type=float,
    metavar="T",
    help="Stop where an iteration lowers the loss by less than this fraction.",
)
@click.option(
    "--variable",
    metavar="NAME",
    help="The signal to reconstruct, or data.  [default: the diode's absorbance]",
)
@segment_options
@click.option("--negative", is_flag=True, help="Let the tomogram go below zero.")
@backend_option
@cluster_options
@chunks_option
@overwrite_option
@quiet_option
def reconstruct_command(
    scan: str,
    output: str,
    alignment: str | None,
    negative: bool,
    workplace: Workplace,
    backend: Backend,
    chunks: Any,
    overwrite: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Reconstruct the tomogram of SCAN with the offsets that it holds, or those of an alignment."""
    from mumott_dask.alignment import with_offsets
    from mumott_dask.monitor import watch_reconstruction
    from mumott_dask.reconstruction import reconstruct
    from mumott_dask.scan import write_tomogram

    from . import summaries

    check_suffix(output, *_TOMOGRAMS)
    check_new(output, overwrite, scan, alignment)
    with working_on(workplace, backend == "gpu") as capacity:
        opened = opened_scan(scan, capacity, chunks)
        if alignment is not None:
            opened = with_offsets(opened, alignment)
        with nullcontext() if quiet else watch_reconstruction() as watch:
            tomogram = reconstruct(opened, nonnegative=not negative, backend=backend, watch=watch, **settings)
        write_tomogram(tomogram, output, overwrite)
    click.echo(summaries.text([("tomogram", output), *summaries.tomogram_summary(tomogram)]))
