"""What the scheduler does for alignments, beside the page: metrics, and who may connect."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

import mumott_dask as md
from mumott_dask import monitor
from mumott_dask.monitor.events import TOPIC


def test_metrics_tell_of_what_runs(client, chunked_scan):
    address = client.dashboard_link.replace("status", "metrics")
    told = []

    def watch_and_ask(step):
        steering = watch(step)
        told.append(urllib.request.urlopen(address).read().decode())
        return steering

    with monitor.watch_alignment(name="measured", show=False) as watch:
        result = md.align(chunked_scan, method="optical-flow", iterations=3, watch=watch_and_ask)
    metrics = [line.split() for line in told[-1].splitlines() if 'name="measured"' in line]
    values = {line[0].split("{")[0]: float(line[-1]) for line in metrics}
    assert values["mumott_dask_alignment_iteration"] == 3
    assert values["mumott_dask_alignment_largest_step_pixels"] == pytest.approx(
        float(result["largest_step"][-1])
    )
    assert values["mumott_dask_alignment_residual"] == pytest.approx(float(result["residual"][-1]))
    assert values["mumott_dask_alignment_projections_per_second"] == pytest.approx(
        48 / float(result["seconds"][-1])
    )
    assert 'name="measured"' not in urllib.request.urlopen(address).read().decode()  # it has ended


def test_the_scheduler_keeps_no_events_of_its_own(client):
    assert client.get_events(TOPIC) == ()


@pytest.mark.parametrize("own", [True, False])
def test_a_connection_is_the_page_s_own(client, own):
    """A script of another site gets no connection, and no session's token by way of what embeds pages."""
    address = monitor.page(client)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}/autoload.js?bokeh-autoload-element=x")
    token = urllib.request.urlopen(address).read().decode().split('"token":"')[1].split('"')[0]
    headers = {"Origin": address.removesuffix("/alignment") if own else "http://elsewhere.example"}

    async def connect(token: str) -> bytes | str | None:
        request = HTTPRequest(address.replace("http", "ws") + "/ws", headers=headers)
        connection = await websocket_connect(request, subprotocols=["bokeh", token])
        return await connection.read_message()

    if own:
        assert asyncio.run(connect(token))
        assert asyncio.run(connect(token[:-8] + "AAAAAAAA")) is None  # one that nobody has signed
    else:
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(connect(token))
