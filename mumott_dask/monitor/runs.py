"""Alignments as a page shows them: built from events, or from what is on disk; kept in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mumott_dask.alignment.records import TRUSTED

from .events import Numbers, compared_from, picture_from, unpacked
from .pictures import Compared, Picture

_MOST_RUNS = 1000  # that are listed
_MOST_WITH_PICTURES = 100  # of which the tomogram and the sinogram are kept
_MOST_OPENED = 16  # projections of a run whose images are kept


@dataclass
class History:
    """What there is of each outer iteration, in lists of equal length."""

    stage: list[str] = field(default_factory=list)
    largest_step: list[float] = field(default_factory=list)
    median_step: list[float] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def extend(self, columns: Mapping[str, list[Any]]) -> None:
        """Add iterations."""
        for name, values in columns.items():
            getattr(self, name).extend(values)

    def __len__(self) -> int:
        return len(self.stage)


@dataclass
class Opened:
    """Images of a projection that somebody has opened."""

    iteration: int
    images: Compared


@dataclass
class Run:
    """An alignment: what it has told so far."""

    id: str
    name: str
    began: float = field(default_factory=time.time)  #: seconds since 1970
    client: str = ""  #: whose end is the run's
    history: History = field(default_factory=History)
    iteration: int = 0
    iterations: int = 0
    projections: int = 0
    numbers: Numbers | None = None
    before: Numbers | None = None  #: those of the iteration before
    excluded: tuple[int, ...] = ()
    volume: Picture | None = None
    sides: tuple[int, ...] = ()  #: of the tomogram, detector pixels
    sinogram: Compared | None = None
    opened: dict[int, Opened] = field(default_factory=dict)
    asked: tuple[int, ...] = ()  #: labels that are to be left out from the next iteration on
    stopping: bool = False  #: whether it was asked to stop
    ended: str = ""  #: how, nothing while it goes on
    changed: float = field(default_factory=time.time)
    _shared: dict[Any, str] = field(default_factory=dict)

    def shared(self, name: Any, make: Callable[[], str]) -> str:
        """What pages make of the pictures, made once for all of them until the next iteration."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    @property
    def flagged(self) -> list[int]:
        """Labels of the projections that are called wrong."""
        if self.numbers is None:
            return []
        return [int(label) for label in self.numbers.label[self.numbers.weight < TRUSTED]]

    @property
    def spent(self) -> float:
        """Seconds since it began, up to now or to its end."""
        return (self.changed if self.ended else time.time()) - self.began

    @property
    def left(self) -> float:
        """Seconds left at most, at the pace of the last iteration; NaN where it is not known."""
        if self.ended or len(self.history) < 2:
            return float("nan")
        return self.history.seconds[-1] * (self.iterations - self.iteration)

    @property
    def rate(self) -> float:
        """Projections a second in the last iteration; NaN where it is not known."""
        seconds = self.history.seconds[-1] if len(self.history) else float("nan")
        return self.projections / seconds if seconds > 0 else float("nan")


class Runs:
    """All runs that a page can show, by id, the oldest first."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._listeners: set[Callable[[Run], None]] = set()
        self._free = 0.0

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, run: str) -> Run:
        return self._runs[run]

    def get(self, run: str) -> Run | None:
        """The run of an id, or None."""
        return self._runs.get(run)

    @property
    def newest(self) -> Run | None:
        """The one that a page shows unless another is asked for: the last that goes on, or has begun."""
        runs = list(self)
        return next((run for run in reversed(runs) if not run.ended), runs[-1] if runs else None)

    def listen(self, listener: Callable[[Run], None]) -> Callable[[], None]:
        """Call somebody with each run that has changed, until what is returned is called."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def turn(self, seconds: float) -> float:
        """When it is somebody's turn who then has so many seconds to himself, on Python's monotonic clock."""
        begins = max(time.monotonic(), self._free)
        self._free = begins + seconds
        return begins

    @property
    def watched(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def changed(self, run: Run) -> None:
        """Tell that a run has changed."""
        for listener in list(self._listeners):
            listener(run)

    def add(self, run: Run) -> None:
        """Add a run, and let the oldest ended ones go where there are too many."""
        self._runs[run.id] = run
        over = [each for each in self if each.ended][: max(0, len(self._runs) - _MOST_RUNS)]
        for each in over:
            del self._runs[each.id]
        with_pictures = [each for each in self if each.ended and each.volume is not None]
        for each in with_pictures[: max(0, len(with_pictures) - _MOST_WITH_PICTURES)]:
            each.volume, each.sinogram, each.opened = None, None, {}
        self.changed(run)

    def take(self, event: dict[str, Any]) -> None:
        """Take over what an event tells (see `events.Teller`)."""
        if event["what"] == "begin":
            self.add(Run(event["run"], event["name"], client=event.get("client", "")))
            return
        run = self._runs.get(event["run"])
        if run is None:
            return
        run.changed = time.time()
        {"step": _take_step, "projection": _take_projection, "end": _take_end}[event["what"]](run, event)
        self.changed(run)

    def lost(self, client: str) -> None:
        """Take it that whatever runs in a client has ended with it."""
        for run in self:
            if run.client == client and not run.ended:
                run.ended, run.changed = "lost: its client is gone", time.time()
                self.changed(run)


def _take_step(run: Run, event: dict[str, Any]) -> None:
    run.history.extend(event["history"])
    run.iteration, run.iterations = event["iteration"], event["iterations"]
    run.projections = event["projections"]
    run.before, run.numbers = run.numbers, Numbers(unpacked(event["labels"]), *unpacked(event["numbers"]))
    run.excluded = tuple(event["excluded"])
    run.asked = tuple(label for label in run.asked if label not in run.excluded)
    run._shared.clear()
    if "volume" in event:
        run.volume, run.sides = picture_from(event["volume"]), tuple(event["sides"])
        run.sinogram = compared_from(event["sinogram"])


def _take_projection(run: Run, event: dict[str, Any]) -> None:
    run.opened.pop(event["label"], None)
    run.opened[event["label"]] = Opened(event["iteration"], compared_from(event["images"]))
    for label in list(run.opened)[:-_MOST_OPENED]:
        del run.opened[label]


def _take_end(run: Run, event: dict[str, Any]) -> None:
    run.ended = event["how"]
