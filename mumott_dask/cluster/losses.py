"""What a lost cluster, or an interrupt, leaves behind: one line, not a screen of tracebacks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import KilledWorker
from distributed.client import AllExit, ClosedClientError, FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import NoWorkerError

from mumott_dask.errors import ScanError

_ENDED = ("Worker process still alive after", "Closing dangling stream")


def _not_given_up(record: logging.LogRecord) -> bool:
    """Whether a record is more than what a Ctrl-C, or a scheduler that was lost, has left behind."""
    left = AllExit | asyncio.CancelledError | CommClosedError
    ended = str(record.msg).startswith(_ENDED)
    return not (ended or (record.exc_info and isinstance(record.exc_info[1], left)))


for _name in ("asyncio", *(f"distributed.{part}" for part in ("client", "batched", "nanny", "comm.tcp"))):
    logging.getLogger(_name).addFilter(_not_given_up)


@contextmanager
def losses_told() -> Iterator[None]:
    """Say in one line, as a ScanError, that work ended because its cluster was lost."""
    try:
        yield
    except (FutureCancelledError, ClosedClientError, CommClosedError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ScanError(f"the Dask cluster that worked on it was lost ({reason})") from error
    except NoWorkerError as error:
        raise ScanError(
            f"the Dask cluster that worked on it had no worker for {error.timeout:g} s: do its jobs start?"
        ) from error
    except KilledWorker as error:
        raise ScanError(
            f"{error.allowed_failures + 1} Dask workers died of one task: is their memory enough? "
            f"The last was {error.last_worker.address}"
        ) from error
