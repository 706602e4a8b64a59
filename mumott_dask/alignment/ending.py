"""How an alignment ends, and whether it has converged."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .iterations import ENOUGH
from .records import AlignmentStep
from .settings import Settings

INTERRUPTED, STOPPED = "interrupted", "stopped"
"""Reasons to end before the last iteration: by Ctrl-C, or by a watcher's `Steering`."""


def verdict_of(history: list[AlignmentStep], settings: Settings) -> tuple[bool, str]:
    """Whether an alignment that has gone through all of its iterations has converged, and why it ended."""
    last = history[-1]
    if settings.method == "line":
        return True, "offsets from the centre of mass, in one step"
    ending = [step.largest_step for step in history[-ENOUGH:] if step.stage == settings.stages[-1].name]
    if len(ending) == ENOUGH and max(ending) < settings.tolerance:
        return (
            True,
            f"largest step {last.largest_step:.2g} px, below the tolerance of {settings.tolerance:g} px",
        )
    return False, (
        f"{last.iteration} iterations ended in stage {last.stage!r} with a largest step of "
        f"{last.largest_step:.2g} px, tolerance {settings.tolerance:g} px"
    )


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Note that there was a Ctrl-C as long as the block runs, beside what else comes of it.

    Python drops the exception where it is raised in a callback of the garbage collector or the like.

    Yields
    ------
    callable
        Whether there was one.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    noted = False

    def note(number: int, frame: Any) -> None:
        nonlocal noted
        noted = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)
