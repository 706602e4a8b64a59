"""An alignment in a notebook's output cell, which changes as it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mumott_dask.plot.style import COLOURS

if TYPE_CHECKING:
    from mumott_dask.alignment import AlignmentStep

_SOONEST = 0.5  # seconds between two changes
_WIDTH, _HEIGHT, _EDGE = 420, 120, 8
_GREY = "#858b94"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and type(found).__name__ == "ZMQInteractiveShell"


class Cell:
    """An output cell with how far an alignment is, its offsets, and its steps by iteration."""

    def __init__(self, address: str | None):
        from IPython.display import HTML, display

        self._html: Callable[[str], Any] = HTML
        self._address = address
        self._largest: list[float] = []
        self._text, self._drawn = "", 0.0
        self._handle = display(HTML(self._frame("aligning", 0.0)), display_id=True)

    def show(self, step: AlignmentStep, text: str) -> None:
        """Show a step; of several that follow close upon each other, the last."""
        self._largest.append(step.largest_step)
        self._text = self._frame(text, step.iteration / step.iterations, _pictures(step, self._largest))
        if time.monotonic() - self._drawn > _SOONEST:
            self._draw()

    def end(self) -> None:
        """Show the last step."""
        if self._text:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._handle.update(self._html(self._text))

    def _frame(self, text: str, share: float, pictures: str = "") -> str:
        link = ""
        if self._address:
            link = f' <a href="{escape(self._address)}" target="_blank">{escape(self._address)}</a>'
        return (
            f'<div>{escape(text)}{link}<br><progress value="{share:.3f}" max="1" style="width:{_WIDTH}px">'
            f"</progress></div><div>{pictures}</div>"
        )


def _pictures(step: AlignmentStep, largest: list[float]) -> str:
    places = np.arange(len(step.j_offset))
    both = np.concatenate([step.j_offset, step.k_offset])
    limits = float(both.min()), float(both.max())
    dots = "".join(
        _path(places, offsets, limits, COLOURS[axis], dots=True)
        for axis, offsets in (("j", step.j_offset), ("k", step.k_offset))
    )
    sizes = np.log10(np.maximum(largest, 1e-6))
    curve = _path(np.arange(len(sizes)), sizes, (float(sizes.min()), float(sizes.max())), COLOURS["j"], False)
    words = f"offsets j and k, {limits[0]:.2f} to {limits[1]:.2f} pixel, by projection"
    steps = f"largest step by iteration, {largest[0]:.3g} to {largest[-1]:.3g} pixel (logarithmic)"
    return _picture(words, dots) + _picture(steps, curve)


def _path(x: NDArray[Any], y: NDArray[Any], limits: tuple[float, float], colour: str, dots: bool) -> str:
    right = _EDGE + (_WIDTH - 2 * _EDGE) * x / max(len(x) - 1, 1)
    down = _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * (y - limits[0]) / max(limits[1] - limits[0], 1e-12)
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(right, down, strict=True)]
    if dots:  # lines of no length with round ends
        drawn, width = "".join(f"M{point}h0" for point in points), 3.0
    else:
        drawn, width = "M" + "L".join(points), 1.5
    return f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round"/>'


def _picture(words: str, paths: str) -> str:
    return (
        f'<svg role="img" aria-label="{words}" width="{_WIDTH}" height="{_HEIGHT + 18}">'
        f'<rect x="0.5" y="0.5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" fill="none" stroke="{_GREY}"/>'
        f"{paths}"
        f'<text x="0" y="{_HEIGHT + 14}" font-size="12" fill="{_GREY}">{words}</text></svg>'
    )
