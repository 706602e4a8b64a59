"""Running a command: how errors, warnings and interrupts look."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from mumott_dask import pages
from mumott_dask.errors import ScanError, ScanWarning
from mumott_dask.words import one_line

INTERRUPTED = 130
BAD_INPUT = 2
TYPED = "mumott_dask.typed"  # arguments of the command, in the context
_LARGE = 5 * 2**17  # bytes: more than the few images that are worked on at a time, which are asked for often
_KEPT = 4 * 2**20  # bytes of what is let go that are kept for what is asked for next
_SAID = (
    "mumott_dask.alignment.checkpoint",
    "mumott_dask.cluster.schedulers",
    "mumott_dask.scan.chunk_sizes",
)


class Commands(click.Group):
    """Commands in the order in which they are needed; an error in what they are given is one line.

    Whatever else goes wrong is a fault of this program, and keeps its traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were added."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, for a driver that is to run it elsewhere."""
        ctx.meta.setdefault(TYPED, list(args))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with warnings.catch_warnings(), _saying(*_SAID):
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # whoever read our output has enough: click ends without a word
                raise
            except (ScanError, OSError) as error:
                say(one_line(error))
                ctx.exit(BAD_INPUT)
            except KeyboardInterrupt:
                say("interrupted")
                ctx.exit(INTERRUPTED)


def hand_back_memory() -> None:
    """Have the memory of large arrays go back to the system when they are let go.

    By itself, glibc keeps up to twice the size of the largest that has been let go so far, 64 MB at most.
    """
    pages.keep(smaller_than=_LARGE, up_to=_KEPT)


def say(message: str) -> None:
    """Print a line on standard error."""
    click.echo(f"mumott-dask: {message}", err=True)


class _Sayer(logging.Handler):
    """Prints what is logged as a line of the command's own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        say(record.getMessage())


@contextmanager
def _saying(*loggers: str) -> Iterator[None]:
    """Say what these loggers tell, as long as the block runs."""
    sayer = _Sayer(logging.INFO)
    for logger in map(logging.getLogger, loggers):
        logger.setLevel(logging.INFO)
        logger.addHandler(sayer)
    try:
        yield
    finally:
        for logger in map(logging.getLogger, loggers):
            logger.setLevel(logging.NOTSET)
            logger.removeHandler(sayer)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, ScanWarning):
        say(f"warning: {' '.join(str(message).split())}")
    else:
        click.echo(warnings.formatwarning(message, category, filename, lineno, line), err=True, nl=False)
