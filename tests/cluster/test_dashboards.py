"""A dashboard behind a token: real requests to a real scheduler's pages."""

import asyncio
import http.cookiejar
import urllib.error
import urllib.request
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster
from tornado import web
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from mumott_dask.cluster import dashboards

TOKEN = "the-token-of-this-test"
PAGES = (
    "/", "/status", "/info/main/workers.html", "/metrics", "/json/counts.json", "/json/identity.json", "/health",
    "/sitemap.json", "/statics/css/base.css", "/static/js/bokeh.min.js", "/individual-workers", "/added-later", "/no-such-page",
)  # fmt: skip


class Added(web.RequestHandler):
    def get(self):
        self.write("as the page of alignments is")


@pytest.fixture(scope="module")
def port():
    with (
        dask.config.set({dashboards.TOKEN: TOKEN}),
        LocalCluster(
            n_workers=0,
            dashboard_address="localhost:0",
            scheduler_kwargs={"preload": ["mumott_dask.cluster.dashboards"]},
        ) as cluster,
    ):
        cluster.scheduler.http_application.add_application(web.Application([("/added-later", Added)]))
        yield cluster.scheduler.http_server.port


def status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as page:
            return page.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_refused_without_the_token(port, page):
    url = f"http://localhost:{port}{page}"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{dashboards._cookie(TOKEN)}=wrong"}):
        assert status(url, **headers) == 403
    assert status(f"{url}?token=wrong") == 403
    expected = {"/no-such-page": 404, "/sitemap.json": 500}  # Dask's own list of pages fails beside Bokeh's
    assert status(url, Authorization=f"Bearer {TOKEN}") == expected.get(page, 200)


def test_the_printed_address_opens_all_pages(port):
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    link, _ = dashboards.addresses(port, TOKEN)
    with browser.open(link) as page:
        assert page.status == 200
        assert page.url == f"http://localhost:{port}/status"
    (cookie,) = jar
    assert cookie.has_nonstandard_attr("HttpOnly")
    with browser.open(f"http://localhost:{port}/info/main/workers.html") as page:
        assert page.status == 200


def test_the_dashboard_is_served_to_its_own_machine_alone(port):
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [fields[1] for fields in sockets if fields[3] == "0A"]
    assert [address for address in listening if int(address.split(":")[1], 16) == port] == [
        f"0100007F:{port:04X}"
    ]


def test_websockets_are_refused_too(port):
    async def connect(**headers):
        request = HTTPRequest(f"ws://localhost:{port}/status/ws", headers=headers)
        return await websocket_connect(request, subprotocols=["bokeh", "no-session"])

    for headers in ({}, {"Cookie": f"{dashboards._cookie(TOKEN)}=wrong"}):
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(connect(**headers))
    # With the token it is Bokeh that answers: it takes the connection, and ends it for want of a session.
    assert asyncio.run(connect(Authorization=f"Bearer {TOKEN}")) is not None


def test_the_ssh_line_leads_to_the_dashboard(port):
    _, tunnel = dashboards.addresses(port, TOKEN)
    assert tunnel.startswith(f"ssh -N -L {port}:localhost:{port} ")
    assert TOKEN not in tunnel
