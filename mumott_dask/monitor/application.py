"""The page as an application of Bokeh's that a web server serves, beside Dask's or alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlparse

PATH = "/alignment"


def page_application(
    document: Callable[[Any], None], prefix: str = "", other_origins: Sequence[str] = ()
) -> Any:
    """A started application with the page at `PATH`, its addresses relative so that proxies may prefix them.

    Parameters
    ----------
    document : callable
        Fills a bokeh Document, one for each browser.
    prefix : str
        Before the path.
    other_origins : sequence of str
        Hosts whose pages may connect, beside the page itself.

    Returns
    -------
    bokeh BokehTornado
        On this thread's event loop.
    """
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from distributed.dashboard.core import DaskBokehTornado  # type: ignore[attr-defined]
    from tornado.ioloop import IOLoop

    application = DaskBokehTornado(
        {PATH: Application(FunctionHandler(document))},
        prefix=prefix,
        use_index=False,
        absolute_url="",
        extra_websocket_origins=other_origins,
        sign_sessions=True,
        secret_key=secrets.token_bytes(),
    )
    _only_from_the_page_itself(application)
    application.initialize(IOLoop.current())
    application.start()
    return application


def _only_from_the_page_itself(application: Any) -> None:
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
