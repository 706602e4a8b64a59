"""A report of an alignment to keep: one HTML file that needs no network, and runs no script."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from mumott_dask import plot
from mumott_dask.alignment import with_offsets
from mumott_dask.words import duration

_INK = "#12ab34"  # of text and frames where they are drawn; the reader's browser chooses the colour
_COLOURED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
_SETTINGS = (
    *("method", "directions", "gauge", "window", "variable", "background", "refine_angles"),
    *("refine_geometry", "iterations", "tolerance", "excluded", "fixed", "source"),
)
_UNDATED = {"Date": None, "Creator": None}


class Figure(NamedTuple):
    """A drawing, and the words that stand for it where it can't be seen."""

    svg: str
    words: str


class Section(NamedTuple):
    """Figures under a title."""

    title: str
    figures: list[Figure]


def report(
    result: xr.Dataset,
    scan: xr.Dataset | None = None,
    before: xr.DataArray | None = None,
    name: str = "Alignment",
) -> str:
    """Make a report of an alignment: offsets, convergence, slices, sinograms, settings and times.

    Parameters
    ----------
    result : Dataset
        What `align` returned.
    scan : Dataset, optional
        What was aligned, for its sinogram before and after.
    before : (x, y, z) DataArray, optional
        A tomogram of the scan as it was, to show beside the aligned one.
    name : str
        The title.

    Returns
    -------
    str
        An HTML document, complete in itself: light or dark as the reader's system is, and readable on paper.

    Examples
    --------
    >>> html = report(open_alignment("scan.aligned.zarr"))  # doctest: +SKIP
    """
    return template("report.html").render(
        name=name,
        converged=bool(result.attrs.get("converged")),
        reason=str(result.attrs.get("reason", "unknown")),
        facts=_facts(result),
        sections=_sections(result, scan, before),
        flagged=_flagged(result),
        timing=_timing(result),
        settings=_settings(result),
    )


def template(name: str, *rooms: Path) -> Any:
    """A template of a report, of this room or of others; what is put into it is escaped."""
    from jinja2 import Environment, FileSystemLoader

    places = FileSystemLoader([room / "templates" for room in (*rooms, Path(__file__).parent)])
    return Environment(loader=places, autoescape=True).get_template(name)


def _sections(result: xr.Dataset, scan: xr.Dataset | None, before: xr.DataArray | None) -> list[Section]:
    sections = [Section("Offsets", [_offsets(result, scan)])]
    if result.sizes.get("iteration", 0) > 1:
        sections.append(Section("Convergence", [_convergence(result)]))
    tomograms = {"before the alignment": before, "as aligned": result.get("tomogram")}
    slices = [_slices(when, tomogram) for when, tomogram in tomograms.items() if tomogram is not None]
    if slices:
        sections.append(Section("Tomogram", slices))
    if scan is not None:
        sections.append(Section("Sinogram", [_sinograms(scan, with_offsets(scan, result))]))
    return sections


def _offsets(result: xr.Dataset, scan: xr.Dataset | None) -> Figure:
    return _drawn("offsets j and k by projection", (9, 3.2), lambda axes: plot.offsets(result, scan, ax=axes))


def _convergence(result: xr.Dataset) -> Figure:
    words = (
        "largest and median step, and residual, by iteration on logarithmic scales; dotted lines where a "
        "stage begins"
    )
    return _drawn(words, (9, 2.8), lambda axes: plot.convergence(result, axes), columns=2)


def _slices(when: str, tomogram: xr.DataArray) -> Figure:
    words = f"slices through the middle of the tomogram, {when}"
    return _drawn(words, (9, 3.2), lambda axes: plot.slices(tomogram, axes), columns=3)


def _sinograms(scan: xr.Dataset, aligned: xr.Dataset) -> Figure:
    variable = "data" if "diode" not in scan and "data" in scan else None

    def draw(axes: Any) -> None:
        for each, ax in zip((scan, aligned), axes, strict=True):
            plot.sinogram(each, ax, variable=variable)

    words = (
        "sinogram of the detector's middle row, each projection where its offsets put it: before the "
        "alignment, and after"
    )
    return _drawn(words, (9, 3.6), draw, columns=2)


def _drawn(words: str, size: tuple[float, float], draw: Callable[[Any], Any], columns: int = 1) -> Figure:
    """A drawing as SVG, its text and frames in whatever colour the reader's text has."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    style: dict[Any, Any] = dict.fromkeys(_COLOURED, _INK)
    style |= {"svg.fonttype": "none", "svg.hashsalt": words, "font.family": "sans-serif"}
    with mpl.rc_context(style):
        canvas = Canvas(figsize=size, layout="constrained")
        draw(canvas.subplots(1, columns))
        held = io.StringIO()
        canvas.savefig(held, format="svg", transparent=True, dpi=110, metadata=_UNDATED)
    text = held.getvalue()
    return Figure(text[text.index("<svg") :].replace(_INK, "currentColor"), words)


def _facts(result: xr.Dataset) -> list[tuple[str, str]]:
    facts = [("projections", str(result.sizes["projection"]))]
    if result.sizes.get("iteration"):
        last = result.isel(iteration=-1)
        steps = f"{float(last['largest_step']):.5f} pixel at most, {float(last['median_step']):.5f} median"
        first, final = (float(result["residual"][n]) for n in (0, -1))
        unit = result["residual"].attrs.get("units", "")
        facts.append(("iterations", str(result.sizes["iteration"])))
        facts += [("last step", steps), ("residual", f"{first:.4g} to {final:.4g} {unit} (RMS)")]
    for axis in "jk":
        if f"{axis}_offset_std" in result:
            error = float(np.nanmedian(result[f"{axis}_offset_std"]))
            facts.append((f"standard error of {axis}", f"{error:.4f} pixel (median)"))
    if "seconds" in result and np.isfinite(result["seconds"]).all():
        facts.append(("time", duration(float(result["seconds"].sum()))))
    return facts


def _flagged(result: xr.Dataset) -> list[list[str]]:
    """Projection, why, offsets and weight of those that are wrong or left out."""
    rows = []
    for name in ("wrong", "excluded"):
        for label in result.attrs.get(name, []):
            one = result.sel(projection=label)
            weight = f"{float(one['weight']):.2g}" if "weight" in one else ""
            offsets = (f"{float(one[f'{axis}_offset']):.3f}" for axis in "jk")
            rows.append([str(label), name, *offsets, weight])
    return rows


def _timing(result: xr.Dataset) -> list[list[str]]:
    """Stage, iterations, seconds and seconds an iteration."""
    if "seconds" not in result:
        return []
    stages, seconds = result["stage"].values, result["seconds"].values
    rows = []
    for stage in dict.fromkeys(stages):
        taken = seconds[stages == stage]
        rows.append([str(stage), str(len(taken)), f"{taken.sum():.1f}", f"{taken.mean():.2f}"])
    return rows


def _settings(result: xr.Dataset) -> list[tuple[str, str]]:
    shown = [(name, result.attrs[name]) for name in _SETTINGS if name in result.attrs]
    rows = [(name.replace("_", " "), str(value)) for name, value in shown if not _empty(value)]
    return [*rows, *result.attrs.get("versions", {}).items()]


def _empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)
