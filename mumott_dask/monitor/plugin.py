"""What the scheduler does for alignments: it keeps their events, and adds a page to its dashboard.

Dask has no way to add a page to a dashboard that runs. This does what its own `connect` (in
`distributed.dashboard.scheduler`) does for its pages, with a second Bokeh application beside the first; the
navigation's entries are a list in the variables of Dask's templates. Both are private to distributed, and
tested against the version that is pinned.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any
from urllib.parse import urlparse

import dask
from distributed import Client, Scheduler, SchedulerPlugin

from .events import TOPIC, steering_topic
from .runs import Run, Runs

NAME = "mumott-dask-alignment"
PATH = "/alignment"


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
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from distributed.dashboard.core import DaskBokehTornado  # type: ignore[attr-defined]
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    from .document import alignment_document

    variables = template_variables(scheduler)
    if PATH.strip("/") not in variables["pages"]:
        variables["pages"].append(PATH.strip("/"))
    document = partial(alignment_document, plugin.runs, plugin.steer, variables)
    application = DaskBokehTornado(
        {PATH: Application(FunctionHandler(document))},
        prefix=prefix,
        use_index=False,
        absolute_url="",
        extra_websocket_origins=_allowed_origins(),
        sign_sessions=True,
        secret_key=secrets.token_bytes(),
    )
    only_from_the_page_itself(application)
    application.initialize(IOLoop.current())
    scheduler.http_application.add_application(application)
    application.start()


def _allowed_origins() -> list[str]:
    """Other origins that the dashboard is to trust, where they are named; Dask's default is every one."""
    named = dask.config.get("distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin")
    return [origin for origin in named if origin != "*"]


def only_from_the_page_itself(application: Any) -> None:
    """Let no other site's scripts press buttons: they get no session, and no connection.

    Bokeh lets pages of any origin embed an application, and compares a connection's origin with a list of
    names that a server behind a proxy does not know. What is compared here is the name that the browser asked
    for.
    """
    from bokeh.server.views.autoload_js_handler import AutoloadJsHandler
    from bokeh.server.views.ws import WSHandler

    class OwnOrigin(WSHandler):
        def check_origin(self, origin: str) -> bool:
            own = urlparse(origin).netloc.lower() == self.request.headers.get("Host", "").lower()
            return own or bool(super().check_origin(origin))

    for routes in application.wildcard_router, application.default_router:
        routes.rules[:] = [rule for rule in routes.rules if rule.target is not AutoloadJsHandler]
        for rule in routes.rules:
            if rule.target is WSHandler:
                rule.target = OwnOrigin
