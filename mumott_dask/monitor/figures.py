"""The plots of the page, and their data: each holds its sources, and is given what is to be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, TapTool
from bokeh.plotting import figure
from bokeh.themes import Theme

from .events import Numbers
from .markup import COLOURS
from .runs import History, Run

_GREY = "#858b94"  # as readable on white as on black
_WRONG = "#d6336c"
_COMMON = {"height": 220, "sizing_mode": "stretch_width", "tools": "pan,box_zoom,wheel_zoom,reset"}

THEME = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_color": None,
                "border_fill_color": None,
                "outline_line_color": _GREY,
                "outline_line_alpha": 0.5,
                "min_border_right": 8,
            },
            "Axis": {
                "axis_label_text_color": _GREY,
                "axis_label_text_font_style": "normal",
                "axis_label_text_font_size": "13px",
                "axis_label_standoff": 4,
                "axis_line_color": _GREY,
                "major_label_text_color": _GREY,
                "major_label_text_font_size": "12px",
                "major_tick_line_color": _GREY,
                "minor_tick_line_color": None,
            },
            "Grid": {"grid_line_color": _GREY, "grid_line_alpha": 0.18},
            "Title": {"text_color": _GREY, "text_font_size": "13px", "text_font_style": "normal"},
            "Legend": {
                "background_fill_alpha": 0,
                "border_line_color": None,
                "label_text_color": _GREY,
                "label_text_font_size": "12px",
                "padding": 0,
                "spacing": 0,
            },
            "Toolbar": {"logo": None, "autohide": True},
        }
    }
)


class Offsets:
    """The offsets j and k by projection, with error bars, and those of the iteration before in grey."""

    def __init__(self, opened: Callable[[int], None]):
        names = [f"{axis}_{part}" for axis in "jk" for part in ("value", "before", "low", "high", "colour")]
        self._source = ColumnDataSource({name: [] for name in ("label", *names)})
        first = self._figure("j")
        self.figures = [first, self._figure("k", x_range=first.x_range)]
        self._source.selected.on_change("indices", lambda attr, old, new: self._chosen(new, opened))

    def _figure(self, axis: str, **ranges: Any) -> Any:
        drawn = figure(
            name=f"offsets_{axis}",
            x_axis_label="projection",
            y_axis_label=f"{axis} offset (pixel)",
            **_COMMON,
            **ranges,
        )
        error = {"x0": "label", "y0": f"{axis}_low", "x1": "label", "y1": f"{axis}_high"}
        drawn.scatter("label", f"{axis}_before", source=self._source, size=4, color=_GREY, **_alpha(0.45))
        drawn.segment(**error, source=self._source, color=f"{axis}_colour", **_alpha(0.6))
        dots = drawn.scatter(
            "label", f"{axis}_value", source=self._source, size=5, color=f"{axis}_colour", **_alpha(1)
        )
        dots.selection_glyph.update(line_color=_WRONG, line_width=6)
        tooltips = [
            ("projection", "@label"),
            ("offset", f"@{axis}_value{{0.0000}} pixel"),
            ("error bar", f"@{axis}_low{{0.0000}} to @{axis}_high{{0.0000}} pixel"),
        ]
        drawn.add_tools(HoverTool(renderers=[dots], tooltips=tooltips), TapTool(renderers=[dots]))
        return drawn

    def _chosen(self, indices: list[int], opened: Callable[[int], None]) -> None:
        if indices:
            opened(int(self._source.data["label"][indices[0]]))

    def show(self, run: Run) -> None:
        """Show the offsets of a run."""
        if run.numbers is None:
            self._source.data = {name: [] for name in self._source.data}
        else:
            parts = [_offsets(axis, run, run.numbers) for axis in "jk"]
            self._source.data = {"label": run.numbers.label, **parts[0], **parts[1]}


def _offsets(axis: str, run: Run, now: Numbers) -> dict[str, Any]:
    value, error = getattr(now, axis), np.nan_to_num(getattr(now, f"{axis}_error"))
    known = run.before is not None and np.array_equal(run.before.label, now.label)
    colour = np.full(len(value), COLOURS[axis], dtype=object)
    colour[np.isin(now.label, run.flagged)] = _WRONG
    colour[np.isin(now.label, run.excluded)] = _GREY
    return {
        f"{axis}_value": value,
        f"{axis}_before": getattr(run.before, axis) if known else np.full(len(value), np.nan, np.float32),
        f"{axis}_low": value - error,
        f"{axis}_high": value + error,
        f"{axis}_colour": colour.tolist(),
    }


def _alpha(value: float) -> dict[str, float]:
    """The same with and without a selection."""
    return {"alpha": value, "nonselection_alpha": value, "selection_alpha": value}


class Convergence:
    """Steps and residual by iteration on logarithmic scales, with lines where a stage begins."""

    def __init__(self) -> None:
        self._columns = ("largest_step", "median_step", "residual")
        self._source = ColumnDataSource({name: [] for name in ("iteration", *self._columns)})
        self._stages = ColumnDataSource({"x": []})
        steps = self._figure("steps", "step (pixel)")
        self._draw(steps, "largest_step", COLOURS["j"], "solid", legend_label="largest")
        self._draw(steps, "median_step", COLOURS["k"], "dashed", legend_label="median")
        steps.legend.location = "bottom_left"
        residual = self._figure("residual", "residual", x_range=steps.x_range)
        self._draw(residual, "residual", COLOURS["j"], "solid")
        self.figures = [steps, residual]

    def _figure(self, name: str, label: str, **ranges: Any) -> Any:
        drawn = figure(
            name=name, y_axis_type="log", x_axis_label="iteration", y_axis_label=label, **_COMMON, **ranges
        )
        drawn.vspan(x="x", source=self._stages, color=_GREY, line_dash="dotted")
        return drawn

    def _draw(self, drawn: Any, column: str, colour: str, dash: str, **legend: str) -> None:
        common = {"x": "iteration", "y": column, "source": self._source, "color": colour}
        drawn.line(**common, line_width=1.5, line_dash=dash, **legend)
        drawn.scatter(**common, size=4)

    def show(self, history: History) -> None:
        """Show a history; what is not above zero has no place on the scale."""
        columns = {name: np.array(getattr(history, name), dtype=float) for name in self._columns}
        shown = {name: np.where(values > 0, values, np.nan) for name, values in columns.items()}
        self._source.data = {"iteration": np.arange(1, len(history) + 1), **shown}
        stages = history.stage
        changes = [n + 0.5 for n in range(1, len(stages)) if stages[n] != stages[n - 1]]
        if changes != self._stages.data["x"]:
            self._stages.data = {"x": changes}
