"""How errors, labels and times are put into words (floor 0)."""

from __future__ import annotations

from collections.abc import Iterable

_MOST_LABELS = 20


def one_line(error: BaseException) -> str:
    """An error's message without line breaks, and the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def listed(labels: Iterable[int]) -> str:
    """Labels of projections, the first of them where there are many."""
    names = [str(label) for label in labels]
    more = [f"and {len(names) - _MOST_LABELS} more"] if len(names) > _MOST_LABELS else []
    return ", ".join([*names[:_MOST_LABELS], *more])


def duration(seconds: float) -> str:
    """Seconds in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    )
