"""``validate``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from .files import check_new, check_suffix, opened_scan
from .options import chunks_option, overwrite_option, quiet_option
from .workplaces import Workplace, cluster_options, working_on

if TYPE_CHECKING:
    import xarray as xr


@click.command(
    "validate",
    short_help="Test an alignment without knowing the truth.",
    epilog="Example: mumott-dask validate scan.h5 --alignment scan.aligned.zarr --plot validation.png",
)
@click.argument("scan", type=click.Path())
@click.option(
    "--alignment", type=click.Path(), required=True, metavar="RESULT", help="The alignment to test."
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="N",
    help="Of MITRA, for each of the 13 tomograms.",
)
@click.option("--plot", type=click.Path(), metavar="PICTURE", help="Draw what was found: .png, .pdf or .svg.")
@cluster_options
@chunks_option
@overwrite_option
@quiet_option
def validate_command(
    scan: str,
    alignment: str,
    iterations: int,
    plot: str | None,
    workplace: Workplace,
    chunks: Any,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Test whether an alignment of SCAN is as good as it says: good, doubtful or bad, and why.

    Each tenth of the projections is realigned against a tomogram of the others; the differences are held
    against the standard errors that the alignment states.
    """
    from mumott_dask.alignment import validate
    from mumott_dask.monitor import watch_validation

    from . import summaries

    if plot is not None:
        check_suffix(plot, ".png", ".pdf", ".svg")
        check_new(plot, overwrite, scan, alignment)
    with working_on(workplace) as capacity:
        opened = opened_scan(scan, capacity, chunks)
        with nullcontext() if quiet else watch_validation() as watch:
            checked = validate(opened, alignment, iterations, watch)
    click.echo(summaries.text(_summary(checked)))
    if plot is not None:
        _draw(checked, plot, overwrite)


def _summary(checked: xr.Dataset) -> list[tuple[str, str]]:
    attrs = checked.attrs
    differences = f"RMS {attrs['difference_rms']:.4f} pixel, {attrs['ratio_std']:.2f} of what was stated"
    size = f", {attrs['resolution_um']:.3g} micrometre" if "resolution_um" in attrs else ""
    return [
        ("verdict", f"{attrs['verdict']}: {attrs['reason']}"),
        ("differences", differences),
        ("resolution", f"{attrs['resolution']:.2f} pixel{size} (two halves, half-bit criterion)"),
    ]


def _draw(checked: xr.Dataset, path: str, overwrite: bool) -> None:
    from matplotlib.figure import Figure

    from mumott_dask import plot
    from mumott_dask.scan.atomic import replacing

    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    plot.validation(checked, list(figure.subplots(1, 2)))
    with replacing(path, overwrite) as partial:
        figure.savefig(partial, dpi=150)
