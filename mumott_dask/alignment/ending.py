"""How an alignment ends, and whether it has converged."""

from __future__ import annotations

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
