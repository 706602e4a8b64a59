"""What the scheduler does for alignments: it keeps their events, and adds a page to its dashboard.

Dask has no way to add a page to a dashboard that runs. This does what its own `connect` (in
`distributed.dashboard.scheduler`) does for its pages, with a second Bokeh application beside the first; the
navigation's entries are a list in the variables of Dask's templates. Both are private to distributed, and
tested against the version that is pinned.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import dask
from distributed import Client, Scheduler, SchedulerPlugin

from .application import PATH, page_application
from .events import TOPIC, steering_topic
from .runs import Run, Runs

NAME = "mumott-dask-alignment"


class AlignmentPlugin(SchedulerPlugin):
    """Keeps what alignments tell until the scheduler ends, and shows it on the dashboard's page."""

    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Begin to keep, and add the page where there is a dashboard."""
        from . import metrics

        self._scheduler = scheduler
        self.runs = Runs()
        metrics.tell(self.runs)
        for dashboard in list(scheduler.http_application.applications):
            if hasattr(dashboard, "app_paths"):
                _add_page(scheduler, self, dashboard.prefix)

    def log_event(self, topic: str, msg: Any) -> None:
        """Take an alignment's event, and let the scheduler's own log forget it: it would keep a thousand."""
        if topic == TOPIC:
            self.runs.take(msg)
            self._scheduler._broker.truncate(TOPIC)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """End what ran in a client that is gone."""
        self.runs.lost(client)

    def steer(self, run: Run, **wish: Any) -> None:
        """Tell an alignment what a page's user wants of it."""
        topic = steering_topic(run.id)
        self._scheduler.log_event(topic, wish)
        self._scheduler._broker.truncate(topic)


def page(client: Client | None = None) -> str:
    """Address of the dashboard's page of alignments, which is added where it is not there yet.

    Parameters
    ----------
    client : distributed.Client, optional
        The active one by default.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        Where there is no client.

    Examples
    --------
    >>> with cluster.local(workers=2) as client:  # doctest: +SKIP
    ...     print(page())
    """
    client = client or Client.current()
    client.register_plugin(AlignmentPlugin(), name=NAME)
    return client.dashboard_link.replace("/status", PATH)  # which a token may follow


def _add_page(scheduler: Scheduler, plugin: AlignmentPlugin, prefix: str) -> None:
    from distributed.dashboard.scheduler import template_variables

    from .document import alignment_document

    variables = template_variables(scheduler)
    if PATH.strip("/") not in variables["pages"]:
        variables["pages"].append(PATH.strip("/"))
    document = partial(alignment_document, plugin.runs, plugin.steer, variables)
    scheduler.http_application.add_application(page_application(document, prefix, _allowed_origins()))


def _allowed_origins() -> list[str]:
    """Other origins that the dashboard is to trust, where they are named; Dask's default is every one."""
    named = dask.config.get("distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin")
    return [origin for origin in named if origin != "*"]
