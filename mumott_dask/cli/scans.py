"""``info``, ``convert`` and ``simulate``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from .files import check_new, check_suffix, kind_of, opened_scan
from .options import Size, alignment_option, chunks_option, cluster_options, overwrite_option, quiet_option
from .running import working_on

_HDF5 = (".h5", ".hdf5")
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
    from mumott_dask.scan import open_scan
    from mumott_dask.scan.tomogram_files import read_tomogram

    from . import summaries

    kind = kind_of(path)
    if kind == "alignment":
        result = open_alignment(path)
        rows = [*summaries.alignment_summary(result), *summaries.alignment_settings(result)]
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
    workers: int | None,
    scheduler: str | None,
    chunks: Any,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write SCAN as OUT, in the format of its name.

    \b
    .zarr    a Zarr store: everything, bit for bit
    .h5      mumott's HDF5; with --link, small, beside the file that holds the pixels
    .mumott  mumott's geometry file: rotations and offsets alone
    """  # noqa: D301 - click reads the \b
    from mumott_dask.alignment import with_offsets
    from mumott_dask.monitor import watch_computation
    from mumott_dask.scan import write_scan
    from mumott_dask.scan.hdf5_writer import write_hdf5

    suffix = Path(out).suffix.lower()
    check_suffix(out, *_SCANS)
    check_new(out, overwrite, scan, alignment)
    if link and suffix not in _HDF5:
        raise click.UsageError("--link needs an HDF5 output, a name that ends in .h5")
    if (workers or scheduler) and suffix != ".zarr":
        raise click.UsageError("--workers and --scheduler need a .zarr output: one process writes the others")
    with working_on(workers, scheduler) as threads:
        opened = opened_scan(scan, threads, chunks or (None if threads else "auto"))
        if alignment is not None:
            opened = with_offsets(opened, alignment)
        computations = len(opened.unify_chunks().chunksizes["projection"]) if suffix in _HDF5 else 1
        shown = nullcontext() if quiet or link else watch_computation(f"writing {out}", computations)
        with shown:
            if link:
                write_hdf5(opened, out, overwrite, link_to=scan)
            else:
                write_scan(opened, out, overwrite)


@click.command(
    "simulate",
    short_help="Simulate a scan with known truth.",
    epilog="Example: mumott-dask simulate scan.zarr --tilts 3 --photons 10000 --seed 1",
)
@click.argument("out", type=click.Path())
@click.option(
    "--shape", type=Size(), default="65x55", show_default=True, metavar="JxK", help="Pixels of a projection."
)
@click.option(
    "--tilts", type=int, default=6, show_default=True, help="Number of tilts, from 0 to --largest-tilt."
)
@click.option("--rotations", type=int, default=41, show_default=True, help="Projections at each tilt.")
@click.option(
    "--photons", type=float, default=40_000, show_default=True, help="Photons per open pixel; 0 for no noise."
)
@click.option("--jitter", type=float, default=1.0, show_default=True, help="RMS of random offsets, pixels.")
@click.option(
    "--jumps", type=float, default=4.0, show_default=True, help="Jumps of the offsets between tilts, pixels."
)
@click.option(
    "--drift",
    type=float,
    default=1.0,
    show_default=True,
    help="RMS of the offsets' drift within a tilt, pixels.",
)
@click.option(
    "--flux-drift", type=float, default=0.02, show_default=True, help="RMS of the flux's drift, relative."
)
@click.option(
    "--extent",
    type=float,
    default=0.75,
    show_default=True,
    help="Width of the bone in detectors; above 1 truncates it.",
)
@click.option("--absorbance", type=float, default=0.8, show_default=True, help="Largest absorbance (log10).")
@click.option("--largest-tilt", type=float, default=45.0, show_default=True, help="Degrees.")
@click.option("--pixel-size", type=float, help="Micrometres.  [default: unknown]")
@click.option(
    "--oversampling", type=int, default=2, show_default=True, help="Sub-voxels along a voxel's side."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed is another bone.")
@overwrite_option
def simulate_command(out: str, overwrite: bool, photons: float, largest_tilt: float, **settings: Any) -> None:
    """Simulate a scan of a piece of bone, with known truth, and write it as OUT (.zarr or .h5)."""
    import math

    from mumott_dask.scan import write_scan
    from mumott_dask.simulation import simulate

    from . import summaries

    check_suffix(out, ".zarr", *_HDF5)
    check_new(out, overwrite)
    scan = simulate(photons=photons or None, largest_tilt=math.radians(largest_tilt), **settings)
    write_scan(scan, out, overwrite)
    click.echo(summaries.text([("scan", out), *summaries.scan_summary(scan)]))
