"""What an alignment tells the scheduler of itself, and what comes back (see `plugin`).

Events are plain dictionaries of numbers, text and bytes, so that any scheduler passes them on. Those of an
outer iteration hold 200 kB at most, however large the scan.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from mumott_dask.alignment import AlignmentStep

from .pictures import Compared, Picture, Sinograms, projection_picture, volume_picture

TOPIC = "mumott-dask-alignment"
"""Of events from alignments to the scheduler."""

BUDGET = 200_000
"""Bytes of an outer iteration's events, at most."""

HISTORY = ("stage", "largest_step", "median_step", "residual", "seconds")
"""What is told of every outer iteration, by the names that an `AlignmentStep` has for it."""

_MOST_PROJECTIONS = 4096  # whose numbers are told; of more, every so-manieth
_ONE_IMAGE = 12_000
_REST = 4_000  # names, sizes, labels of what is excluded
_EXCLUDED = 100  # labels, at most


class Numbers(NamedTuple):
    """What is known of each projection, (projection,) each."""

    label: NDArray[Any]
    j: NDArray[Any]  #: pixels
    k: NDArray[Any]
    j_error: NDArray[Any]  #: standard errors, pixels; NaN where they are not known
    k_error: NDArray[Any]
    residual: NDArray[Any]  #: RMS, units of the signal
    weight: NDArray[Any]


class Packed(TypedDict):
    """An array as an event holds it."""

    kind: str
    shape: list[int]
    data: bytes


def steering_topic(run: str) -> str:
    """Topic of events from pages to the alignment of an id."""
    return f"{TOPIC}-{run}"


def packed(array: NDArray[Any]) -> Packed:
    """An array for an event."""
    return {"kind": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def unpacked(event: Packed) -> NDArray[Any]:
    """An array from an event."""
    return np.frombuffer(event["data"], dtype=event["kind"]).reshape(event["shape"])


def numbers_of(step: AlignmentStep) -> Numbers:
    """What a step tells of each projection."""
    count = len(step.j_offset)
    unknown = np.full(count, np.nan)
    deviations = step.deviations
    numbers = Numbers(
        np.arange(count) if step.labels is None else step.labels,
        step.j_offset,
        step.k_offset,
        unknown if deviations is None else deviations[:, 0],
        unknown if deviations is None else deviations[:, 1],
        unknown if step.residuals is None else step.residuals,
        np.ones(count) if step.trust is None else step.trust,
    )
    every = -(-count // _MOST_PROJECTIONS)
    return Numbers(*(each[::every] for each in numbers))


class Teller:
    """Makes the events of one alignment."""

    def __init__(self, run: str):
        self._run = run
        self._sinograms: Sinograms | None = None
        self._history: dict[str, list[Any]] = {name: [] for name in HISTORY}  # not told yet

    def begin(self, name: str) -> dict[str, Any]:
        """The event that an alignment of a name has begun."""
        return {"run": self._run, "what": "begin", "name": name}

    def end(self, how: str) -> dict[str, Any]:
        """The event that it has ended."""
        return {"run": self._run, "what": "end", "how": how}

    def keep(self, step: AlignmentStep) -> None:
        """Keep the step and the residual of an outer iteration for the next event."""
        for name, values in self._history.items():
            value = getattr(step, name)
            values.append(value if name == "stage" else float(value))

    def step(self, step: AlignmentStep) -> dict[str, Any]:
        """The event of an outer iteration, with what was kept, and pictures where there is a tomogram."""
        history, self._history = self._history, {name: [] for name in HISTORY}
        numbers = numbers_of(step)
        label, *others = (each.astype(np.float32) for each in numbers)
        labels = (
            numbers.label[:0] if step.labels is None or step.excluded is None else step.labels[step.excluded]
        )
        event: dict[str, Any] = {
            "run": self._run,
            "what": "step",
            "iteration": step.iteration,
            "iterations": step.iterations,
            "history": history,
            "excluded": [int(each) for each in labels[:_EXCLUDED]],
            "labels": packed(numbers.label.astype(np.int32)),
            "numbers": packed(np.stack(others)),
            "projections": len(step.j_offset),
        }
        room = BUDGET - _REST - 4 * label.size * len(numbers) - 2 * _ONE_IMAGE
        if step.tomogram is not None and step.level is not None:
            self._sinograms = self._sinograms or Sinograms(room // 4)
            event["sides"] = [side * step.binning for side in step.tomogram.shape]
            event["volume"] = _pictures(volume_picture(step.tomogram, room // 2))
            event["sinogram"] = _pictures(*self._sinograms.of(step.level, step.tomogram))
        return event

    def projection(self, step: AlignmentStep, label: int) -> dict[str, Any] | None:
        """The event with the images of a projection; None where there is none of that label."""
        if step.tomogram is None or step.level is None or step.labels is None or label not in step.labels:
            return None
        number = int(np.flatnonzero(step.labels == label)[0])
        compared = projection_picture(step.level, step.tomogram, number, _ONE_IMAGE)
        return {
            "run": self._run,
            "what": "projection",
            "label": label,
            "iteration": step.iteration,
            "images": _pictures(*compared),
        }


def _pictures(*pictures: Picture) -> list[dict[str, Any]]:
    return [{**packed(each.steps), "low": float(each.low), "high": float(each.high)} for each in pictures]


def picture_from(event: list[Any]) -> Picture:
    """A picture out of an event's list of one."""
    (one,) = event
    return Picture(unpacked(one), one["low"], one["high"])


def compared_from(event: list[Any]) -> Compared:
    """A pair of pictures out of an event's list of two."""
    measured, difference = (picture_from([each]) for each in event)
    return Compared(measured, difference)
