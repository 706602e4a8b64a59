"""How far an alignment has come, as a dataset and back, bit for bit.

All numbers of a projection stand side by side in one table: each array more takes its milliseconds to write,
and a small scan's iteration takes no more than a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask.devices import to_host

from .iterations import Geometry, State
from .records import AlignmentStep
from .settings import Settings
from .steps import Step, Taken

Floats = NDArray[np.float64]
Parts = dict[str, Floats]

_COUNTS = ("iteration", "stage", "done", "small_steps")
_SIZES = ("largest_step", "median_step", "residual", "seconds")


class Progress(NamedTuple):
    """History and state of an alignment, of the same outer iteration."""

    history: list[AlignmentStep]  #: one an outer iteration; the last alone holds its tomogram
    state: State  #: after the last of them

    def begun_again(self) -> Progress:
        """The same with its steps to become small once more, since what they are found from has changed."""
        return self._replace(state=replace(self.state, small_steps=0))


def progress_dataset(progress: Progress, **by_projection: NDArray[Any]) -> xr.Dataset:
    """Progress as a dataset that a file can hold, with further numbers of each projection."""
    history, state = progress
    last = history[-1]
    parts: dict[str, Any] = {
        **by_projection,
        "history": np.array([(step.j_offset, step.k_offset) for step in history]).T,
        "trust": state.trust,
        "background": last.background,
        "deviations": last.deviations,
        **_named("reached", state.geometry),
        **_named("weighted", state.weighted),
    }
    if state.before is not None:
        for name, step in state.before._asdict().items():
            parts |= _named(name, Geometry(step.j, step.k, step.rotation))
    turn = last.instrument_deviation
    return xr.Dataset(
        {
            "by_projection": (("projection", "column"), _side_by_side(parts)),
            "tomogram": (("x", "y", "z"), to_host(state.tomogram)),
        },
        attrs={
            "columns": {name: part.shape[1:] for name, part in parts.items()},
            "stages": [step.stage for step in history],
            **{name: [getattr(step, name) for step in history] for name in _SIZES},
            **{name: getattr(state, name) for name in _COUNTS},
            "instrument_deviation": None if turn is None else turn.tolist(),
        },
    )


def progress_of(stored: xr.Dataset, settings: Settings) -> Progress:
    """Progress from a dataset; `settings` are those of the alignment."""
    parts = projection_parts(stored)
    asked, taken = (_geometry(name, parts) for name in Taken._fields)
    counts = {name: int(stored.attrs[name]) for name in _COUNTS}
    state = State(
        parts["reached j"],
        parts["reached k"],
        parts["reached rotation"],
        parts["trust"],
        stored["tomogram"].values,
        before=Taken(_step(asked), _step(taken)) if asked and taken else None,
        weighted=_geometry("weighted", parts),
        **counts,
    )
    sizes, most = (stored.attrs[name] for name in _SIZES), settings.iterations
    rows = zip(stored.attrs["stages"], parts["history"].T, *sizes, strict=True)
    history = [
        AlignmentStep(stage, number, most, j, k, largest, median, residual, None, seconds=seconds)
        for number, (stage, (j, k), largest, median, residual, seconds) in enumerate(rows, 1)
    ]
    turn = stored.attrs["instrument_deviation"]
    history[-1] = replace(
        history[-1],
        tomogram=state.tomogram,
        binning=settings.stages[state.stage].binning,
        rotation=state.rotation,
        background=parts["background"],
        trust=state.trust,
        deviations=parts["deviations"],
        unknowns=settings.unknowns,
        instrument_deviation=None if turn is None else np.array(turn),
    )
    return Progress(history, state)


def projection_parts(stored: xr.Dataset) -> Parts:
    """Numbers of each projection by name, (projection, ...) each."""
    table = stored["by_projection"].values
    columns: Mapping[str, list[int]] = stored.attrs["columns"]
    ends = np.cumsum([math.prod(shape) for shape in columns.values()])
    sides = np.split(table, ends[:-1], axis=1)
    return {
        name: np.ascontiguousarray(side).reshape(len(table), *shape)
        for (name, shape), side in zip(columns.items(), sides, strict=True)
    }


def _side_by_side(parts: Mapping[str, Floats]) -> Floats:
    return np.concatenate([part.reshape(len(part), -1) for part in parts.values()], axis=1)


def _named(what: str, geometry: Geometry | None) -> Parts:
    return {} if geometry is None else {f"{what} {name}": part for name, part in geometry._asdict().items()}


def _geometry(what: str, parts: Parts) -> Geometry | None:
    if f"{what} j" not in parts:
        return None
    return Geometry(*(parts[f"{what} {name}"] for name in Geometry._fields))


def _step(moved: Geometry) -> Step:
    """A step as far as the next one asks for it."""
    nothing = np.zeros((len(moved.j), 3))
    return Step(moved.j, moved.k, nothing, moved.rotation, nothing)
