"""How the pictures look: colours, thin lines, small type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"j": "#0072b2", "k": "#d55e00"}
"""Blue and vermilion of Okabe and Ito's palette, which the colour-blind tell apart
(https://jfly.uni-koeln.de/color/)."""

COLOUR_MAP = "cet_gouldian"

LINE_WIDTH = 0.6
"""Of curves and frames, points."""

BRIGHTEST = 99.9
"""Percentile of the values at which a colour scale ends."""


def colour_map() -> str:
    """Name of the colour map, once matplotlib knows it."""
    import colorcet  # noqa: F401 - importing it is what tells matplotlib

    return COLOUR_MAP


def new_axes(size: tuple[float, float]) -> Axes:
    """Axes in a figure of their own, of a size in inches."""
    from matplotlib import pyplot

    return pyplot.subplots(figsize=size, layout="constrained")[1]


def row_of_axes(shapes: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """Axes side by side for images of these widths and heights, all to one scale."""
    from matplotlib import pyplot

    widths, heights = zip(*shapes, strict=True)
    scale = 7.0 / sum(widths)
    size = (9.0, 0.6 + scale * max(heights))
    return pyplot.subplots(1, len(shapes), figsize=size, width_ratios=widths, layout="constrained")[1]


def colour_limits(images: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the ends of a colour scale that holds 0 and nearly all of the values."""
    values = np.concatenate([image.ravel() for image in images])
    values = values[np.isfinite(values)]
    low, high = (0.0, 1.0) if not values.size else np.percentile(values, [100 - BRIGHTEST, BRIGHTEST])
    return min(float(low), 0.0), max(float(high), float(low), 0.0) or 1.0


def finish_curves(ax: Axes) -> None:
    """Give curves their legend, and take away what they don't need."""
    ax.margins(x=0.01)
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=4,
        frameon=False,
        fontsize=8,
        borderpad=0,
        handlelength=1.5,
    )
    ax.spines[["top", "right"]].set_visible(False)
    thin(ax)


def finish_bar(bar: Any, label: str) -> None:
    """Label a colour bar."""
    bar.set_label(label, fontsize=9)
    bar.outline.set_linewidth(LINE_WIDTH)
    thin(bar.ax)


def thin(ax: Axes) -> None:
    """Make frame, ticks and type small."""
    ax.tick_params(width=LINE_WIDTH, length=2.5, labelsize=8)
    ax.xaxis.label.set_fontsize(9)
    ax.yaxis.label.set_fontsize(9)
    for spine in ax.spines.values():
        spine.set_linewidth(LINE_WIDTH)
