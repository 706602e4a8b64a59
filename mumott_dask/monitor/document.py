"""The page that shows alignments: a Bokeh document for each browser that has it open.

A page is drawn when its run has changed and when it has its turn among the pages that are open, so that all
together take a small share of the scheduler's time. Whatever a scan names is shown as text.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bokeh.document import Document
from bokeh.models import (
    Button,
    Div,
    InlineStyleSheet,
    Slider,
)

from mumott_dask.words import duration, listed

from .figures import THEME, Convergence, Offsets
from .markup import STYLE, compared_html, load_palettes, slice_html
from .runs import Run, Runs

Steer = Callable[..., None]

SHARE = 0.005
"""Of the scheduler's time that all pages together may take to be drawn."""

_AT_AN_END = 2.0  # seconds between two drawings of a page whose run has ended, for each page that is open
_SENDING = 3.0  # times what filling the plots takes, that it takes to send them off as well
_LEAST = 0.01  # seconds that a drawing takes: an empty page is no measure of what comes
_SLIDER = {
    "start": 0,
    "end": 1,
    "step": 0.01,
    "value": 0.5,
    "show_value": False,
    "sizing_mode": "stretch_width",
}


def alignment_document(
    runs: Runs, steer: Steer | None, variables: dict[str, Any], document: Document
) -> None:
    """Fill a document with the page.

    Parameters
    ----------
    runs : Runs
    steer : callable or None
        ``steer(run, **wish)`` tells a run what is wanted of it; None where nothing can be.
    variables : dict
        Of the dashboard's templates; empty for a page by itself.
    document : bokeh Document
    """
    load_palettes()  # or the first drawing would, and be taken for a slow one
    context = document.session_context
    asked = context.request.arguments.get("run", [b""]) if context else [b""]
    page = Page(runs, steer, document, asked[0].decode(errors="replace"))
    with document.models.freeze():
        for root in page.roots:
            document.add_root(root)
    document.title = "Dask: Alignment" if variables else "Alignment"
    document.theme = THEME
    document.template = _templates().get_template("alignment.html" if variables else "alone.html")
    document.template_variables.update(variables)
    setattr(document, "destroy", partial(_let_go, document, page))  # noqa: B010
    page.draw()


def _let_go(document: Document, page: Page, session: Any) -> None:
    """Do what bokeh does with a page that was closed, but for collecting all garbage there and then.

    It would twice a page, which holds up a scheduler for a second a page where many are open.
    """
    page.close()
    document.remove_on_change(session)
    document.callbacks.destroy()
    document.models.destroy()
    document.modules.destroy()


@cache
def _templates() -> Any:
    """Our templates, and those of Dask's dashboard that they stand in."""
    import distributed.http
    from jinja2 import Environment, FileSystemLoader

    places = Path(__file__).parent / "templates", Path(distributed.http.__file__).parent / "templates"
    return Environment(loader=FileSystemLoader(places), autoescape=False)


class Page:
    """What one browser sees: a run, with its slices and an opened projection, among all runs."""

    def __init__(self, runs: Runs, steer: Steer | None, document: Document, chosen: str = ""):
        self._runs, self._steer, self._document = runs, steer, document
        self._run = runs.get(chosen)
        self._asked = self._run is not None
        self._label: int | None = None
        self._next: Any = None  # the drawing that waits
        self._due, self._drawn = 0.0, -math.inf  # when it is drawn next, when it was last
        self._takes = _LEAST  # seconds
        self._status = Div(name="status", sizing_mode="stretch_width")
        self._stop = Button(name="stop", label="Stop after this iteration", button_type="danger", width=220)
        self._stop.on_click(self._ask_to_stop)
        self._offsets, self._convergence = Offsets(self._open), Convergence()
        style = InlineStyleSheet(css=STYLE)
        self._table, self._sinogram, self._opened, *slices = (
            Div(name=name, sizing_mode="stretch_width", stylesheets=[style])
            for name in ("runs", "sinogram", "opened", "slice_x", "slice_y", "slice_z")
        )
        self._slices = dict(zip("xyz", slices, strict=True))
        self._sliders = {normal: Slider(name=f"slider_{normal}", **_SLIDER) for normal in "xyz"}
        for normal, slider in self._sliders.items():
            slider.on_change("value", lambda attr, old, new, normal=normal: self._show_slice(normal))
        self._exclude = Button(name="exclude", button_type="warning", width=220, visible=False)
        self._exclude.on_click(self._ask_to_exclude)
        self.close = runs.listen(self.wake)

    @property
    def roots(self) -> list[Any]:
        """Everything that the template places, by name."""
        widgets = self._status, self._stop, self._table, self._exclude, self._opened, self._sinogram
        figures = *self._offsets.figures, *self._convergence.figures
        return [*widgets, *self._slices.values(), *self._sliders.values(), *figures]

    def wake(self, run: Run) -> None:
        """Draw the page anew before long, since a run has changed."""
        ended = run is self._run and bool(run.ended)
        if self._next is None:
            self._due = self._runs.turn(self._takes / SHARE)
        elif ended:
            self._document.remove_timeout_callback(self._next)
        else:
            return
        if ended:
            self._due = min(self._due, self._drawn + _AT_AN_END * self._runs.watched)
        wait = max(0.0, self._due - time.monotonic())
        self._next = self._document.add_timeout_callback(self.draw, int(1000 * wait))

    def draw(self) -> None:
        """Show how things stand."""
        began = time.thread_time()
        self._next = None
        self._follow()
        self._show_runs()
        self._show_run()
        self._takes = max(_LEAST, _SENDING * (time.thread_time() - began))
        self._drawn = time.monotonic()

    def _follow(self) -> None:
        """Go on to the next run where the one that is shown has ended, unless somebody has asked for it."""
        gone = self._run is None or self._runs.get(self._run.id) is None
        newest = self._runs.newest
        ended = self._run is not None and bool(self._run.ended) and not self._asked
        if gone or (ended and newest is not None and not newest.ended):
            self._run, self._label, self._asked = newest, None, False

    def _show_runs(self) -> None:
        runs = list(self._runs)
        self._table.text = _table(runs) if len(runs) > 1 else ""

    def _show_run(self) -> None:
        run = self._run
        self._status.text = "<p>No alignment has told of itself yet.</p>" if run is None else _status(run)
        going = run is not None and not run.ended and self._steer is not None
        self._stop.visible = going
        if run is None:
            return
        self._stop.disabled = run.stopping
        self._offsets.show(run)
        self._convergence.show(run.history)
        for normal in self._slices:
            self._show_slice(normal)
        self._sinogram.text = run.shared("sinogram", lambda: _sinogram(run))
        self._show_opened()

    def _show_slice(self, normal: str) -> None:
        run = self._run
        if run is not None and run.volume is not None:
            share, volume, sides = self._sliders[normal].value, run.volume, run.sides
            made = run.shared((normal, share), lambda: slice_html(volume, sides, normal, share))
            self._slices[normal].text = made
        else:
            self._slices[normal].text = "<p>no tomogram</p>"

    def _show_opened(self) -> None:
        run, label = self._run, self._label
        if run is None or label is None:
            self._opened.text = "<p>Click on an offset to see its projection.</p>"
            self._exclude.visible = False
            return
        self._opened.text = _opened(run, label)
        self._exclude.visible = (
            self._steer is not None and not run.ended and label not in (*run.excluded, *run.asked)
        )
        self._exclude.label = f"Exclude projection {label}"

    def _open(self, label: int) -> None:
        self._label = label
        if self._run is not None and self._steer is not None and not self._run.ended:
            self._steer(self._run, open=label)
        self._show_opened()

    def _ask_to_stop(self) -> None:
        if self._run is not None and self._steer is not None and not self._run.ended:
            self._run.stopping = True
            self._steer(self._run, stop=True)
            self._runs.changed(self._run)
            self._show_run()

    def _ask_to_exclude(self) -> None:
        run, label = self._run, self._label
        if run is not None and label is not None and self._steer is not None and label not in run.asked:
            run.asked = (*run.asked, label)
            self._steer(run, exclude=label)
            self._runs.changed(run)
            self._show_opened()


def _table(runs: list[Run]) -> str:
    """A table of runs with a row each, whose name is the address of its page."""
    head = "".join(
        f"<th>{words}</th>" for words in ("", "state", "stage", "iteration", "largest step", "residual")
    )
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _row(run))}</tr>" for run in runs)
    return f'<div class="runs"><table><tr>{head}</tr>{rows}</table></div>'


def _row(run: Run) -> list[str]:
    link = f'<a href="?run={quote(run.id, safe="")}">{escape(run.name)}</a>'
    history = run.history
    if not history:
        return [link, escape(_state(run)), "", "", "", ""]
    numbers = f"{history.largest_step[-1]:.4f}", f"{history.residual[-1]:.5f}"
    done = f"{run.iteration}/{run.iterations}"
    return [link, escape(_state(run)), escape(history.stage[-1]), done, *numbers]


def _state(run: Run) -> str:
    return run.ended or ("stopping" if run.stopping else "aligning")


def _status(run: Run) -> str:
    """Lines of HTML that say how far a run is; all that somebody else has named is escaped."""
    history = run.history
    lines = [f"<strong>{escape(run.name)}</strong>: {escape(_state(run))}"]
    if history:
        lines.append(f"iteration {run.iteration} of at most {run.iterations}, {escape(history.stage[-1])}")
        lines.append(
            f"largest step {history.largest_step[-1]:.4f} px, median {history.median_step[-1]:.4f} px, "
            f"residual {history.residual[-1]:.5f}"
        )
    began = datetime.fromtimestamp(run.began).strftime("%H:%M:%S")
    times = [f"began at {began}", f"{duration(run.spent)} spent"]
    if math.isfinite(run.left):
        times.append(f"at most {duration(run.left)} left")
    if math.isfinite(run.rate):
        times.append(f"{run.rate:.3g} projections a second")
    lines.append(", ".join(times))
    for words, labels in (
        ("called wrong", run.flagged),
        ("excluded", run.excluded),
        ("to be excluded from the next iteration on", run.asked),
    ):
        if labels:
            lines.append(f"{words}: {listed(labels)}")
    return "<br>".join(lines)


def _opened(run: Run, label: int) -> str:
    words = f"Projection {label}"
    if label in run.excluded:
        words += ", excluded"
    elif label in run.asked:
        words += ", to be excluded from the next iteration on"
    opened = run.opened.get(label)
    if opened is not None:
        images = compared_html(opened.images, f"projection {label}", turned=True)
        return f"<p>{words}, at iteration {opened.iteration}:</p>{images}"
    if run.ended:
        return f"<p>{words}: its images were not asked for while the alignment went on.</p>"
    return f"<p>{words}: its images come with the next iteration.</p>"


def _sinogram(run: Run) -> str:
    if run.sinogram is None:
        return "<p>no sinogram</p>"
    words = "middle row of the detector, by projection from top to bottom"
    return compared_html(run.sinogram, words, turned=False, stretched=True)
