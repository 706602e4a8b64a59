"""``simulate``."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from .files import check_new, check_suffix
from .options import Degrees, Size, overwrite_option

_WRITTEN = (".zarr", ".h5", ".hdf5")


def _list_cases(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    """Print the named cases and what to give align for them, and end."""
    if not asked or ctx.resilient_parsing:
        return
    from mumott_dask.simulation import CASES

    for name, case in CASES.items():
        options = _align_options(case.alignment)
        click.echo(f"{name:<14}{case.description}" + (f"  [align with {options}]" if options else ""))
    ctx.exit()


def _align_options(settings: Any) -> str:
    """Settings of `align` as they are typed."""
    flags = {f"--{name.replace('_', '-')}": value for name, value in settings.items()}
    return " ".join(name if value is True else f"{name} {value}" for name, value in flags.items())


@click.command(
    "simulate",
    short_help="Simulate a scan with known truth.",
    epilog="Example: mumott-dask simulate scan.zarr --tilts 3 --photons 10000 --seed 1",
)
@click.argument("out", type=click.Path())
@click.option("--case", metavar="NAME", help="A named case; what is given besides replaces its own.")
@click.option(
    "--list-cases",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_cases,
    help="List the named cases, and end.",
)
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
@click.option(
    "--tilt-angles",
    type=Degrees(),
    metavar="A,B,...",
    help="The tilts themselves, degrees, in place of --tilts and --largest-tilt.",
)
@click.option(
    "--arc",
    type=Degrees(2),
    metavar="FIRST,LAST",
    help="Rotations at every tilt, degrees: -70,70.  [default: half a circle; with a tilt, a whole one]",
)
@click.option(
    "--angle-error",
    type=float,
    default=0.0,
    show_default=True,
    help="RMS of each component of a small rotation of each projection, degrees.",
)
@click.option(
    "--axis-error",
    type=Degrees(2),
    default=(0.0, 0.0),
    metavar="PLANE,PITCH",
    help="The rotation axis off in the detector's plane, and towards the beam, degrees.  [default: 0,0]",
)
@click.option(
    "--background",
    type=float,
    default=0.0,
    show_default=True,
    help="Slope of an air level that drifts, absorbance from edge to edge.",
)
@click.option(
    "--wrong",
    type=int,
    default=0,
    show_default=True,
    help="Projections that are entirely wrong: closed shutter, wrong angle.",
)
@click.option(
    "--hot",
    type=float,
    default=0.0,
    show_default=True,
    help="Fraction of pixels that read far too much, or nothing.",
)
@click.option("--dead-columns", type=int, default=0, show_default=True, help="Columns that read nothing.")
@click.option(
    "--sample",
    type=click.Choice(("bone", "slab")),
    default="bone",
    show_default=True,
    help="A core of bone, or a slab of it that is wider than the view: that needs tilts.",
)
@click.option(
    "--thickness", type=float, default=0.3, show_default=True, help="Thickness of a slab in detectors."
)
@click.option("--bounds", is_flag=True, help="Also compute how well the offsets can be found at all.")
@click.option("--pixel-size", type=float, help="Micrometres.  [default: unknown]")
@click.option(
    "--oversampling", type=int, default=2, show_default=True, help="Sub-voxels along a voxel's side."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed is another bone.")
@overwrite_option
@click.pass_context
def simulate_command(
    ctx: click.Context, out: str, case: str | None, overwrite: bool, **settings: Any
) -> None:
    """Simulate a scan of a piece of bone, with known truth, and write it as OUT (.zarr or .h5)."""
    import math

    from mumott_dask.scan import write_scan
    from mumott_dask.simulation import CASES, simulate, simulate_case

    from . import summaries

    check_suffix(out, *_WRITTEN)
    check_new(out, overwrite)
    settings["photons"] = settings["photons"] or None
    for name in ("largest_tilt", "angle_error"):
        settings[name] = math.radians(settings[name])
    if case is None:
        scan = simulate(**settings)
    else:
        given = (name for name in settings if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE)
        scan = simulate_case(case, **{name: settings[name] for name in given})
    write_scan(scan, out, overwrite)
    rows = [("scan", out), *summaries.scan_summary(scan)]
    options = "" if case is None else _align_options(CASES[case].alignment)
    if options:
        rows.append(("to align", f"mumott-dask align {out} {options}"))
    click.echo(summaries.text(rows))
