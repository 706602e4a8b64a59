"""``demo``: the whole way, from a simulated scan to the pictures of its alignment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mumott_dask.errors import ScanError

from .files import check_new, opened_scan
from .options import overwrite_option, quiet_option
from .workplaces import Workplace, cluster_options, working_on

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

_SMALL = {"shape": (28, 26), "tilts": 2, "rotations": 25, "jumps": 2.0}
_OUTPUTS = ("scan.zarr", "alignment.zarr", "offsets.png", "before_and_after.png")


@click.command(
    "demo",
    short_help="The whole way on a simulated scan: start here.",
    epilog="Example: mumott-dask demo --output demo-output",
)
@click.option(
    "--output", "-o", type=click.Path(), default="demo-output", show_default=True, help="Folder to write to."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed is another bone.")
@click.option("--small", is_flag=True, help="A smaller scan, in a fraction of the time.")
@cluster_options
@overwrite_option
@quiet_option
def demo_command(
    output: str,
    seed: int,
    small: bool,
    workplace: Workplace,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Simulate a scan of a piece of bone, align it, and draw what came of it.

    The scan has the size of mumott's tutorial: 246 projections of 65 x 55 pixels, at six tilts.
    """
    from mumott_dask.alignment import align, compare, with_offsets, write_alignment
    from mumott_dask.monitor import watch_alignment, watch_reconstruction
    from mumott_dask.reconstruction import reconstruct
    from mumott_dask.scan import write_scan
    from mumott_dask.simulation import simulate

    scan_path, alignment_path, offsets_path, slices_path = _outputs(output, overwrite)
    with working_on(workplace) as capacity:
        with _timed("simulated"):
            settings: dict[str, Any] = _SMALL if small else {}
            write_scan(simulate(seed=seed, **settings), scan_path, overwrite)
            scan = opened_scan(str(scan_path), capacity, None)
        before = compare(scan, "truth", scan)
        click.echo(f"  offsets' RMS error before: {before.attrs['rms']:.4f} pixel")
        with _timed("aligned"):
            with nullcontext() if quiet else watch_alignment() as watch:
                result = align(scan, watch=watch)
            write_alignment(result, alignment_path, overwrite)
        after = compare(result, "truth", scan)
        click.echo(f"  offsets' RMS error after:  {after.attrs['rms']:.4f} pixel")
        aligned = with_offsets(scan, result)
        with _timed("reconstructed"), nullcontext() if quiet else watch_reconstruction() as watch_mitra:
            tomograms = [reconstruct(stage, watch=watch_mitra) for stage in (scan, aligned)]
        with _timed("drawn"):
            _save(_offsets_picture(result, scan), offsets_path, overwrite)
            _save(_before_and_after((scan, aligned), tomograms), slices_path, overwrite)
    click.echo(f"written to {output}: {', '.join(_OUTPUTS)}")


def _outputs(folder: str, overwrite: bool) -> list[Path]:
    """Paths of the outputs, in a folder that is made where it is missing."""
    if Path(folder).exists() and not Path(folder).is_dir():
        raise ScanError(f"{folder}: is no folder, expected one to write to")
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / name for name in _OUTPUTS]
    for path in paths:
        check_new(path, overwrite)
    return paths


@contextmanager
def _timed(done: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    click.echo(f"{done} in {time.monotonic() - began:.1f} s")


def _offsets_picture(result: xr.Dataset, scan: xr.Dataset) -> Figure:
    from matplotlib.figure import Figure

    from mumott_dask import plot

    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    plot.offsets(result, scan, ax=figure.subplots())
    return figure


def _before_and_after(scans: Sequence[xr.Dataset], tomograms: Sequence[xr.DataArray]) -> Figure:
    """Sinogram and three slices, before the alignment and after it, each pair on one scale."""
    from matplotlib.figure import Figure

    from mumott_dask import plot

    limits = 0.0, float(tomograms[1].quantile(0.999))
    figure = Figure(figsize=(11.0, 6.2), layout="constrained")
    rows: Any = figure.subfigures(2, 1)
    for row, title, scan, tomogram in zip(rows, ("before", "after"), scans, tomograms, strict=True):
        row.suptitle(f"{title} alignment", fontsize=10)
        axes = row.subplots(1, 4)
        plot.sinogram(scan, axes[0])
        plot.slices(tomogram, axes[1:], limits=limits)
    return figure


def _save(figure: Figure, path: Path, overwrite: bool) -> None:
    from mumott_dask.scan.atomic import replacing

    with replacing(path, overwrite) as partial:
        figure.savefig(partial, dpi=150)
