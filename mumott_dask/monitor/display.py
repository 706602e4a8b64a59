"""Where progress is shown: a bar on a terminal, lines elsewhere, nowhere if it is to be quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from mumott_dask.words import duration

if TYPE_CHECKING:
    from rich.progress import Progress

_SMALLEST_PART = 0.1  # of the whole that a line of a part-wise display stands for


class Display(Protocol):
    """Shows how far work has come."""

    def show(self, text: str, done: float, total: float) -> None:
        """Show a line of text and the share of the work that is done."""

    def tell(self, text: str) -> None:
        """Print a line that stays."""


class Pace:
    """Time left, at the pace of the last step (iterations slow down from coarse to fine) or of all of them.

    The first step tells nothing: it may hold a compilation.
    """

    def __init__(self, of_last_step: bool):
        self._of_last_step = of_last_step
        self._time, self._done = 0.0, 0.0

    def time_left(self, done: float, total: float) -> str:
        """Time left at most, since loops end early where they converge; nothing where it is not known."""
        now, step = time.monotonic(), done - self._done
        seconds = (now - self._time) / step * (total - done) if self._done and step > 0 else 0.0
        if self._of_last_step or not self._done:
            self._time, self._done = now, done
        return f"at most {duration(seconds)} left" if seconds > 0.5 else ""


class Bar:
    """A bar that is drawn again with each step."""

    def __init__(self, progress: Progress, label: str, every_step: bool):
        self._progress = progress
        self._task = progress.add_task(label, total=None, left="")
        self._pace = Pace(every_step)

    def show(self, text: str, done: float, total: float) -> None:
        """Move the bar, and put the text before it."""
        left = self._pace.time_left(done, total)
        self._progress.update(self._task, description=text, completed=done, total=total, left=left)

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, highlight=False, soft_wrap=True, markup=False)


class Lines:
    """A line for every step, or for every tenth of work that has no steps."""

    def __init__(self, file: TextIO, every_step: bool):
        self._file = file
        self._every_step = every_step
        self._next = 0.0
        self._pace = Pace(every_step)

    def show(self, text: str, done: float, total: float) -> None:
        """Print the text and the time left."""
        if not self._every_step and done < self._next * total:
            return
        self._next = done / total + _SMALLEST_PART
        left = self._pace.time_left(done, total)
        self.tell(f"{text}  {left}".rstrip())

    def tell(self, text: str) -> None:
        """Print a line."""
        self._file.write(f"{text}\n")
        self._file.flush()


@contextmanager
def display(label: str, every_step: bool = True, file: TextIO | None = None) -> Iterator[Display]:
    """Show progress on standard error, or on `file`, as long as the block runs.

    Parameters
    ----------
    label : str
        What is shown before the first step.
    every_step : bool
        Whether each step is worth a line where there is no terminal; otherwise each tenth of the work is.
    file : text file, optional
    """
    file = sys.stderr if file is None else file
    if not file.isatty():
        yield Lines(file, every_step)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(file=file), transient=True) as progress:
        yield Bar(progress, label, every_step)
