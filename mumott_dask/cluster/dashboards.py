"""A scheduler's web pages behind a token: other users of its machine get 403.

Loaded by a scheduler as a preload, ``mumott_dask.cluster.dashboards``; the token is in its configuration.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import secrets
import socket
from typing import Any

import dask
from tornado import httputil, web

TOKEN = "mumott-dask.dashboard-token"


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def dask_setup(scheduler: Any) -> None:
    """Put the scheduler's pages behind the token of the configuration."""
    guard(scheduler.http_application, dask.config.get(TOKEN))


def guard(application: Any, token: str) -> None:
    """Put all that a web application serves, websockets included, behind a token.

    The address that is printed has the token; it leads to the same address without it, and to a cookie
    that is sent with all further requests. A program sends ``Authorization: Bearer TOKEN``.
    """
    find_handler = application.find_handler

    def find_allowed(request: httputil.HTTPServerRequest, **options: Any) -> Any:
        cookie = request.cookies.get(_cookie(token))
        if cookie is not None and _same(cookie.value, token):
            return find_handler(request, **options)
        if _same(request.headers.get("Authorization", ""), f"Bearer {token}"):
            return find_handler(request, **options)
        asked = request.query_arguments.get("token", [b""])[-1].decode("latin-1")
        handler = _Welcome if _same(asked, token) else _Forbidden
        return application.get_handler_delegate(request, handler, {"token": token})

    application.find_handler = find_allowed


class _Forbidden(web.RequestHandler):
    def initialize(self, token: str) -> None:
        self.token = token

    def prepare(self) -> None:
        self.set_status(403)
        self.finish("403: this dashboard needs the address that was printed with its token\n")


class _Welcome(_Forbidden):
    def prepare(self) -> None:
        self.set_cookie(_cookie(self.token), self.token, httponly=True, samesite="Strict", path="/")
        self.redirect("/" + self.request.path.lstrip("/"))


def _cookie(token: str) -> str:
    """Name of a cookie: browsers share cookies between the ports of a machine, and so between clusters."""
    return f"mumott-dask-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def addresses(port: int, token: str) -> tuple[str, str]:
    """Address of a dashboard that this machine serves to itself, and the command that lets others see it."""
    return (
        f"http://localhost:{port}/status?token={token}",
        f"ssh -N -L {port}:localhost:{port} {getpass.getuser()}@{socket.gethostname()}",
    )
