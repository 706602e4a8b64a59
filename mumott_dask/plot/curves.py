"""Offsets and their differences, by projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.errors import ScanError
from mumott_dask.scan.schema import scan_basis

from .style import COLOURS, LINE_WIDTH, finish_curves, new_axes, row_of_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

MOST_TILTS = 25
"""More tilts than this are not marked."""


def offsets(
    found: xr.Dataset,
    scan: xr.Dataset | None = None,
    reference: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the offsets j and k by projection, and those that they are compared with.

    What is found is drawn as points, with error bars where it has them, the reference as lines, moved by the
    gauge (the shift of the whole sample that explains most of the difference).

    Parameters
    ----------
    found : Dataset
        An alignment, or a scan with the offsets that it holds.
    scan : Dataset, optional
        The scan that was aligned: its tilts are marked, and its true offsets, where it has them, are the
        reference.
    reference : Dataset, optional
        An alignment or a scan to compare with instead. Needs `scan` for the gauge.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if scan is None and "rotation" in found.coords:
        scan = found
    if reference is not None and scan is None:
        raise ScanError("plot.offsets: a reference is given without the scan, expected both (for the gauge)")
    expected = None if scan is None else _reference(found, scan, reference)
    labels = found["projection"].values
    ax = new_axes((7.0, 3.0)) if ax is None else ax
    for axis, colour in COLOURS.items():
        if expected is not None:
            name = "true" if reference is None else "reference"
            ax.plot(
                labels, expected[axis], color=colour, linewidth=LINE_WIDTH, alpha=0.7, label=f"{axis}, {name}"
            )
        name = axis if expected is None else f"{axis}, found"
        error = found.get(f"{axis}_offset_std")
        ax.errorbar(
            labels,
            found[f"{axis}_offset"].values,
            yerr=None if error is None else error.values,
            fmt=".",
            markersize=2.5,
            color=colour,
            elinewidth=LINE_WIDTH,
            label=name,
        )
    if scan is not None:
        _mark_tilts(ax, scan)
    ax.set_xlabel("projection")
    ax.set_ylabel("offset (pixel)")
    finish_curves(ax)
    return ax


def comparison(compared: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the differences between two sets of offsets by projection, the gauge taken out.

    Parameters
    ----------
    compared : Dataset
        What `mumott_dask.compare` returns: `j_difference`, `k_difference` (projection; pixels).
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes((7.0, 3.0)) if ax is None else ax
    labels = compared["projection"].values
    ax.axhline(0, color="0.7", linewidth=LINE_WIDTH, zorder=0)
    for axis, colour in COLOURS.items():
        difference = compared[f"{axis}_difference"].values
        ax.plot(labels, difference, ".", markersize=2.5, color=colour, label=axis)
    rms, largest = compared.attrs["rms"], compared.attrs["largest"]
    ax.set_title(f"RMS {rms:.2g} pixel, largest {largest:.2g} pixel", fontsize=9, loc="left")
    ax.set_xlabel("projection")
    ax.set_ylabel("difference of offsets (pixel)")
    finish_curves(ax)
    return ax


def convergence(result: xr.Dataset, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw steps and residual of an alignment by iteration, with lines where a stage begins.

    Parameters
    ----------
    result : Dataset
        What `align` returned.
    axes : two matplotlib Axes, optional

    Returns
    -------
    two matplotlib Axes
    """
    steps, residual = row_of_axes([(3, 2), (3, 2)]) if axes is None else axes
    iteration, stage = result["iteration"].values, result["stage"].values
    for ax, name, axis, style, label in (
        (steps, "largest_step", "j", "-", "largest"),
        (steps, "median_step", "k", "--", "median"),
        (residual, "residual", "j", "-", "RMS"),
    ):
        sizes = np.where(result[name].values > 0, result[name].values, np.nan)
        ax.semilogy(iteration, sizes, style, marker=".", color=COLOURS[axis], linewidth=1, label=label)
    steps.set_ylabel("step (pixel)")
    residual.set_ylabel(f"residual ({result['residual'].attrs.get('units', 'signal')})")
    for ax in (steps, residual):
        for place in iteration[1:][stage[1:] != stage[:-1]] - 0.5:
            ax.axvline(place, color="0.6", linewidth=LINE_WIDTH, linestyle=":", zorder=0)
        ax.set_xlabel("iteration")
        ax.tick_params(which="minor", labelsize=7)
        finish_curves(ax)
    return steps, residual


def _reference(found: xr.Dataset, scan: xr.Dataset, reference: xr.Dataset | None) -> dict[str, Floats] | None:
    """Offsets to compare with, in the gauge of those found, by projection; NaN where one is missing."""
    ending = "_offset"
    if reference is None:
        if "j_offset_true" not in scan.coords:
            return None
        reference, ending = scan, "_offset_true"
    labels = found["projection"].values
    unknown = np.setdiff1d(labels, scan["projection"].values)
    if unknown.size:
        raise ScanError(
            f"plot.offsets: the scan has no projection {unknown[0]}, expected the scan that was aligned"
        )
    at = {axis: _by_label(reference[axis + ending], labels) for axis in COLOURS}
    axes = scan_basis(scan.sel(projection=labels))
    j_away, k_away = (found[f"{axis}_offset"].values - at[axis] for axis in COLOURS)
    moved = geometry.gauge_offsets(geometry.gauge_vector(j_away, k_away, axes), axes)
    return {axis: at[axis] + shift for axis, shift in zip(COLOURS, moved, strict=True)}


def _by_label(values: xr.DataArray, labels: NDArray[np.int64]) -> Floats:
    plain = xr.DataArray(values.values, {"projection": values["projection"].values}, ["projection"])
    return np.asarray(plain.reindex(projection=labels).values, dtype=np.float64)


def _mark_tilts(ax: Axes, scan: xr.Dataset) -> None:
    """Thin lines where the tilt changes."""
    if "outer_angle" not in scan.coords:
        return
    changes = np.flatnonzero(np.abs(np.diff(scan["outer_angle"].values)) > 1e-6)
    if len(changes) < MOST_TILTS:
        labels = scan["projection"].values
        for place in (labels[changes] + labels[changes + 1]) / 2:
            ax.axvline(place, color="0.8", linewidth=LINE_WIDTH, zorder=0)
