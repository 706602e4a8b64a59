"""What a validation found: how the halves correlate, and whether differences are as large as their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .style import COLOURS, LINE_WIDTH, finish_curves, row_of_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REACH = 4.5  # standard errors that are shown; what lies beyond is counted in the last bins


def validation(checked: xr.Dataset, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw the Fourier shell correlation and the histogram of the differences over their errors.

    Parameters
    ----------
    checked : Dataset
        What `validate` returned.
    axes : two matplotlib Axes, optional

    Returns
    -------
    two matplotlib Axes
    """
    shells, ratios = row_of_axes([(3, 4), (3, 4)]) if axes is None else axes
    frequency = checked["frequency"].values
    shells.plot(frequency, checked["correlation"].values, linewidth=LINE_WIDTH, label="two halves")
    shells.plot(frequency, checked["half_bit"].values, "--", linewidth=LINE_WIDTH, label="half-bit criterion")
    shells.set(xlabel="frequency (cycles per pixel)", ylabel="Fourier shell correlation", ylim=(-0.1, 1.05))
    edges = np.linspace(-_REACH, _REACH, 28)
    values = {axis: checked[f"{axis}_ratio"].dropna("projection").values for axis in COLOURS}
    for axis, colour in COLOURS.items():
        shown = np.clip(values[axis], -_REACH, _REACH)
        ratios.hist(shown, edges.tolist(), density=True, histtype="step", color=colour, label=axis)
    x = np.linspace(-_REACH, _REACH, 200)
    ratios.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), "--", color="0.4", label="as stated")
    ratios.set(xlabel="difference / its standard error", ylabel="share")
    scatter = f"{checked.attrs['verdict']}, scatter {checked.attrs['ratio_std']:.2f}"
    ratios.text(0.03, 0.95, scatter, transform=ratios.transAxes, fontsize=8, va="top")
    for each in (shells, ratios):
        finish_curves(each)
    return shells, ratios
