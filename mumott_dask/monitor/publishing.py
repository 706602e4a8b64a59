"""The alignment's end of the wire to the dashboard's page: tells of each step, and hears what is wanted."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from distributed import Client

from mumott_dask.alignment import AlignmentStep, Steering

from .events import TOPIC, Teller, steering_topic
from .plugin import page

log = logging.getLogger(__name__)

_MOST_OPENED = 4  # projections whose images are told again in turns, one an iteration


class Publisher:
    """Publishes an alignment on the scheduler of a client, and steers it as the page's users want.

    What goes wrong on the way there is logged, and ends the publishing, never the alignment.

    Parameters
    ----------
    client : distributed.Client
    name : str
        What the page calls it.
    every : float, seconds
        At least between two iterations that are told with all that there is to see; of those between them
        only the steps and residuals are, with the next one.
    """

    def __init__(self, client: Client, name: str, every: float = 0.0):
        self.address = page(client)
        self._client, self._run = client, uuid4().hex
        self._teller = Teller(self._run)
        self._wishes: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._opened: deque[int] = deque(maxlen=_MOST_OPENED)  # the one whose turn it is comes first
        self._stopped = self._silent = False
        self._every, self._due = every, time.monotonic() + every
        self._last: AlignmentStep | None = None  # where it has not been told of
        client.subscribe_topic(steering_topic(self._run), lambda event: self._wishes.put(event[1]))
        self._log({**self._teller.begin(name), "client": client.id})

    def __call__(self, step: AlignmentStep) -> Steering | None:
        """Tell of a step; the answer is what was wanted since the last one."""
        if self._silent:
            return None
        try:
            steering = self._steering(step)
            self._teller.keep(step)
            self._last = step
            if self._opened or time.monotonic() >= self._due:
                self._tell_last()
            if self._opened:
                self._tell_projection(step)
        except Exception as error:
            log.warning("this alignment is not shown on the dashboard any more: %r", error)
            self._silent = True
            return None
        return steering

    def end(self, error: BaseException | None = None) -> None:
        """Tell that the alignment has ended, perhaps by an error."""
        how = f"failed: {type(error).__name__}" if error else "stopped" if self._stopped else "ended"
        try:
            self._client.unsubscribe_topic(steering_topic(self._run))
            self._tell_last()
            self._log(self._teller.end(how))
        except Exception as lost:  # the cluster may be what the alignment has failed of
            log.debug("the end of an alignment could not be told: %r", lost)

    def _steering(self, step: AlignmentStep) -> Steering | None:
        stop, exclude = False, set()
        for wish in self._heard():
            stop = stop or bool(wish.get("stop"))
            if "exclude" in wish:
                exclude.add(int(wish["exclude"]))
            if "open" in wish and step.labels is not None and wish["open"] in step.labels:
                self._opened.appendleft(int(wish["open"]))
        self._stopped = self._stopped or stop
        return Steering(stop, tuple(sorted(exclude))) if stop or exclude else None

    def _heard(self) -> Iterator[dict[str, Any]]:
        while True:
            try:
                yield self._wishes.get_nowait()
            except Empty:
                return

    def _tell_last(self) -> None:
        if self._last is None:
            return
        self._log(self._teller.step(self._last))
        self._last, self._due = None, time.monotonic() + self._every

    def _tell_projection(self, step: AlignmentStep) -> None:
        label = self._opened[0]
        self._opened.rotate(-1)
        event = self._teller.projection(step, label)
        if event is not None:
            self._log(event)

    def _log(self, event: dict[str, Any]) -> None:
        self._client.log_event(TOPIC, event)


def shown_at() -> str | None:
    """Address of the page on the active client's dashboard; None, and a line in the log, without one."""
    try:
        return page()
    except Exception as error:  # a scheduler without this package, or one that takes no plugins
        log.warning("alignments are not shown on the dashboard: %r", error)
        return None


@contextmanager
def publishing(client: Client | None, name: str, every: float = 0.0) -> Iterator[Publisher | None]:
    """Publish an alignment as long as the block runs; None without a client, or with one that cannot.

    Parameters
    ----------
    client : distributed.Client or None
    name : str
    every : float, seconds
        See `Publisher`.

    Yields
    ------
    Publisher or None
    """
    publisher = None
    if client is not None and not client.asynchronous:
        try:
            publisher = Publisher(client, name, every)
        except Exception as error:  # a scheduler without this package, or one that takes no plugins
            log.warning("this alignment is not shown on the dashboard: %r", error)
    try:
        yield publisher
    except BaseException as error:
        if publisher is not None:
            publisher.end(error)
        raise
    if publisher is not None:
        publisher.end()
