"""The page of what is on disk, in a browser, by itself and behind a proxy that knows it by a longer path."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import cluster, monitor
from mumott_dask.monitor.serving import AlignmentOnDisk, run_on_disk, start_server

OPTIONS = {"method": "optical-flow", "iterations": 8}


@pytest.fixture(scope="module")
def scan():
    return md.simulate(shape=(26, 24), tilts=2, rotations=12, jitter=0.5, jumps=1)


class KilledError(Exception):
    """What ends an alignment with its output unfinished."""


def killed_after(iteration, scan, path):
    def watch(step):
        if step.iteration == iteration:
            raise KilledError

    with pytest.raises(KilledError):
        md.align(scan, checkpoint=path, watch=watch, **OPTIONS)


@pytest.fixture
def served(scan, tmp_path):
    """An unfinished alignment on disk, and the address of its page."""
    path = tmp_path / "result.zarr"
    killed_after(2, scan, path)
    ready = threading.Event()
    made = SimpleNamespace(path=path)

    async def until_done():
        made.loop, made.done = asyncio.get_running_loop(), asyncio.Event()
        made.port = start_server(AlignmentOnDisk(path), 0, "127.0.0.1")
        ready.set()
        await made.done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(until_done()), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield made
    made.loop.call_soon_threadsafe(made.done.set)
    thread.join(10)


def test_what_is_on_disk_is_shown_as_it_changes(scan, served, tab):
    tab.goto(f"http://127.0.0.1:{served.port}/alignment")
    tab.wait_for_selector("text=iteration 2 of at most 8")
    assert tab.locator("button:visible").count() == 0  # nothing here can be steered
    result = md.align(scan, checkpoint=served.path, **OPTIONS)
    tab.wait_for_selector(f"text={result.attrs['reason']}")
    offsets = "Bokeh.documents[0].get_model_by_name('offsets_j').renderers[2].data_source.data.j_value"
    np.testing.assert_allclose(tab.evaluate(f"Array.from({offsets})"), result["j_offset"], atol=1e-6)


def test_an_unfinished_one_is_read_as_it_is(scan, tmp_path):
    path = tmp_path / "result.zarr"
    steps = []
    killed_after(3, scan, path)
    md.align(scan, watch=lambda step: steps.append(step), **OPTIONS)
    run = run_on_disk(path)
    assert (run.iteration, run.iterations, run.ended) == (3, 8, "")
    np.testing.assert_allclose(run.numbers.k, steps[2].k_offset)
    np.testing.assert_allclose(run.before.k, steps[1].k_offset)
    np.testing.assert_allclose(run.history.residual, [step.residual for step in steps[:3]])
    assert run.sides == tuple(side * steps[2].binning for side in steps[2].tomogram.shape)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def proxied(tmp_path, lacking):
    """Puts a running server behind a path prefix of nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        lacking("nginx is not installed (.ci/install-system)")
    started = []

    def proxy(port: int) -> str:
        own = free_port()
        (tmp_path / "nginx.conf").write_text(
            f"""
            daemon off; pid {tmp_path}/nginx.pid; error_log stderr; worker_processes 1;
            events {{ worker_connections 64; }}
            http {{
              access_log off;
              client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path};
              uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path};
              server {{
                listen 127.0.0.1:{own};
                location /user/anna/proxy/8787/ {{
                  proxy_pass http://127.0.0.1:{port}/;
                  proxy_http_version 1.1;
                  proxy_set_header Host $http_host;
                  proxy_set_header Upgrade $http_upgrade;
                  proxy_set_header Connection upgrade;
                }}
              }}
            }}
            """
        )
        command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        for _ in range(100):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", own)) == 0:
                    break
            time.sleep(0.1)
        return f"http://127.0.0.1:{own}/user/anna/proxy/8787"

    yield proxy
    for process in started:
        process.terminate()
        process.wait(10)


def test_page_and_buttons_work_behind_a_proxy(scan, proxied, tab):
    with cluster.local(workers=1, threads=1, dashboard_address="127.0.0.1:0") as client:
        address = proxied(int(monitor.page(client).split(":")[2].split("/")[0]))
        made = []

        def run():
            with monitor.watch_alignment(name="proxied", show=False) as watch:
                made.append(
                    md.align(scan.chunk(projection=24), method="optical-flow", tolerance=1e-9, watch=watch)
                )

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        tab.goto(f"{address}/status")
        tab.click("text=Alignment")
        assert tab.url == f"{address}/alignment"
        tab.wait_for_selector("text=of at most")
        tab.get_by_role("button", name="Stop after this iteration").click()
        thread.join(60)
        assert made[0].attrs["reason"] == "stopped"
        tab.close()  # it would miss the cluster


def test_what_is_on_disk_is_served_behind_a_proxy(served, proxied, tab):
    tab.goto(f"{proxied(served.port)}/alignment")
    tab.wait_for_selector("text=iteration 2 of at most 8")
