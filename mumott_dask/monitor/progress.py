"""Watchers for the loops of alignment and reconstruction, and for whatever Dask computes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TextIO

from dask.callbacks import Callback

from .display import Display, display
from .notebook import Cell, in_notebook

if TYPE_CHECKING:
    import distributed

    from mumott_dask.alignment import AlignmentStep, Steering

    from .publishing import Publisher

_POLL = 0.5  # seconds between questions to a scheduler


@contextmanager
def watch_alignment(
    file: TextIO | None = None, name: str = "alignment", show: bool = True
) -> Iterator[Callable[[AlignmentStep], Steering | None]]:
    """Show an alignment as it goes, here and on the dashboard of the active client, if there is one.

    Here that is the stage, iteration, largest step, residual, pace and time left: a bar on a terminal, an
    output cell in a notebook, lines elsewhere. The dashboard gets a page, ``/alignment``, from which the
    alignment can be stopped, and projections left out.

    Parameters
    ----------
    file : text file, optional
        Where to show it; standard error, or the notebook's cell, by default.
    name : str
        What the page calls it.
    show : bool
        Whether to show it here.

    Yields
    ------
    callable
        For ``align(..., watch=...)``.

    Examples
    --------
    >>> with watch_alignment() as watch:  # doctest: +SKIP
    ...     result = align(scan, watch=watch)
    """
    with _published(_active_client(), name) as publisher:
        address = None if publisher is None else publisher.address
        with _shown_here(file, address) if show else nullcontext() as shown:

            def watch(step: AlignmentStep) -> Steering | None:
                if shown is not None:
                    shown(step)
                return None if publisher is None else publisher(step)

            yield watch


def _published(client: distributed.Client | None, name: str) -> AbstractContextManager[Publisher | None]:
    """The alignment on the dashboard of a client, if there is one: without, no page is imported."""
    if client is None:
        return nullcontext()
    from .publishing import publishing

    return publishing(client, name)


@contextmanager
def _shown_here(file: TextIO | None, address: str | None) -> Iterator[Callable[[AlignmentStep], None]]:
    if file is None and in_notebook():
        cell = Cell(address)
        yield lambda step: cell.show(step, _words(step))
        cell.end()
        return
    with display("aligning", file=file) as shown:
        if address is not None:
            shown.tell(f"watch it at {address}")
        yield lambda step: shown.show(_words(step), step.iteration, step.iterations)


def _words(step: AlignmentStep) -> str:
    words = (
        f"{step.stage}  iteration {step.iteration}/{step.iterations}  "
        f"largest step {step.largest_step:.4f} px  residual {step.residual:.5f}"
    )
    return f"{words}  {len(step.j_offset) / step.seconds:.3g} projections/s" if step.seconds > 0 else words


@contextmanager
def watch_reconstruction(file: TextIO | None = None) -> Iterator[Callable[[int, int, float], None]]:
    """Show the iteration, the loss and the time left of a reconstruction.

    Parameters
    ----------
    file : text file, optional
        Where to show it; standard error by default.

    Yields
    ------
    callable
        For ``reconstruct(..., watch=...)``.
    """
    with display("reconstructing", file=file) as shown:

        def watch(iteration: int, iterations: int, loss: float) -> None:
            text = f"reconstructing  iteration {iteration}/{iterations}  loss {loss:.5g}"
            shown.show(text, iteration, iterations)

        yield watch


@contextmanager
def watch_validation(file: TextIO | None = None) -> Iterator[Callable[[int, int, str], None]]:
    """Show which tomogram a validation is at, and the time left.

    Parameters
    ----------
    file : text file, optional
        Where to show it; standard error by default.

    Yields
    ------
    callable
        For ``validate(..., watch=...)``.
    """
    with display("validating", file=file) as shown:

        def watch(done: int, tomograms: int, what: str) -> None:
            shown.show(f"validating  tomogram {done}/{tomograms}  {what}", done, tomograms)

        yield watch


@contextmanager
def watch_computation(label: str, computations: int = 1, file: TextIO | None = None) -> Iterator[None]:
    """Show how many of Dask's tasks are done while the block runs: of this process, or of the active client.

    Parameters
    ----------
    label : str
        What the tasks do, such as ``"writing scan.zarr"``.
    computations : int
        How many computations the block runs, one after the other.
    file : text file, optional
        Where to show it; standard error by default.

    Yields
    ------
    None
    """
    client = _active_client()
    with display(label, every_step=False, file=file) as shown:
        watcher = _Counter(shown, label, computations) if client is None else _poll(client, shown, label)
        with watcher:
            yield


class _Counter(Callback):
    """Counts the tasks of Dask's own schedulers as they are done."""

    def __init__(self, shown: Display, label: str, computations: int):
        super().__init__()
        self._shown, self._label, self._computations = shown, label, computations
        self._before = 0

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        done = len(state["finished"])
        share = done / (done + sum(len(state[name]) for name in ("ready", "waiting", "running")))
        self._show(self._before + share)

    def _finish(self, dsk: Any, state: Any, failed: bool) -> None:
        self._before += 1

    def _show(self, done: float) -> None:
        share = min(1.0, done / self._computations)
        self._shown.show(f"{self._label}  {share:4.0%}", share, 1.0)


@contextmanager
def _poll(client: distributed.Client, shown: Display, label: str) -> Iterator[None]:
    """Ask the client's scheduler, now and then, how many tasks are left."""
    finished = threading.Event()

    def ask() -> None:
        most = 0
        with suppress(
            OSError, ValueError, RuntimeError
        ):  # a scheduler that is gone, or that runs no questions
            while not finished.wait(_POLL):
                left = _tasks_left(client)
                most = max(most, left)
                share = 1 - left / most if most else 0.0
                shown.show(f"{label}  {share:4.0%}", share, 1.0)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        finished.set()
        asking.join(timeout=10 * _POLL)


def _tasks_left(client: distributed.Client) -> int:
    def unfinished(dask_scheduler: Any) -> int:  # within a function, so that it travels by value
        states = ("waiting", "queued", "processing", "no-worker")
        return sum(task.state in states for task in dask_scheduler.tasks.values())

    return int(client.run_on_scheduler(unfinished))


def _active_client() -> distributed.Client | None:
    if "distributed" not in sys.modules:  # nobody can have made one, and to look takes 14 MB
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None
