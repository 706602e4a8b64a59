"""Campaigns in a real browser: their samples on the dashboard's page, on disk, and in a report."""

from __future__ import annotations

import asyncio
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import monitor
from mumott_dask.campaign import campaign_report, read_manifest, run_campaign
from mumott_dask.campaign.serving import CampaignOnDisk
from mumott_dask.monitor.serving import start_server

MARKUP = "<img src=x onerror=alert(1)>"
ON_PAGE = (
    "Array.from(Bokeh.documents[0].get_model_by_name('offsets_j').renderers[2].data_source.data.j_value)"
)


@pytest.fixture
def campaign(tmp_path):
    """A manifest of two scans and of a file that is none; its samples' names are markup."""
    (tmp_path / "none.h5").write_text("nothing")
    names = "".join(f"- {{path: {name}.h5, name: '{name} {MARKUP}'}}\n" for name in ("0", "1", "none"))

    def written(settings="{tolerance: 0.01}", shape=(26, 24), rotations=12):
        for number in range(2):
            scan = md.simulate(shape, tilts=2, rotations=rotations, jitter=0.5, jumps=1, seed=number)
            md.write_scan(scan, tmp_path / f"{number}.h5")
        path = tmp_path / "bones.yaml"
        path.write_text(f"samples:\n{names}align: {settings}\n")
        return read_manifest(path)

    return written


def stored(manifest, number):
    return md.open_alignment(manifest.directory / "samples" / f"{manifest.samples[number].name}.zarr")


def test_samples_are_opened_from_a_table_and_stopped(client, campaign, tab):
    """Each of them would go on for many seconds; the page follows what goes on until one is asked for."""
    manifest = campaign("{method: optical-flow, tolerance: 1.0e-9}", shape=(64, 56), rotations=24)
    records = []
    running = threading.Thread(target=lambda: records.extend(run_campaign(manifest)), daemon=True)
    running.start()
    tab.goto(monitor.page(client))
    for sample in manifest.samples[:2]:
        tab.wait_for_selector(f".status strong >> text={sample.name}")
        tab.wait_for_selector("text=of at most")
        tab.get_by_role("button", name="Stop after this iteration").click()
    tab.wait_for_selector(f"text={sample.name}: stopped")
    running.join(60)
    assert [record["status"] for record in records] == ["done", "done", "failed"]
    assert {record["result"]["reason"] for record in records[:2]} == {"stopped"}
    tab.click(f"table >> text={manifest.samples[0].name}")
    tab.wait_for_selector(f".status strong >> text={manifest.samples[0].name}")
    shown = tab.evaluate(ON_PAGE)
    np.testing.assert_allclose(np.diff(shown), np.diff(stored(manifest, 0)["j_offset"]), atol=1e-3)  # float32
    assert tab.locator("img[src=x]").count() == 0


@pytest.fixture
def served():
    """Serves the page of a manifest's campaign, as long as the test runs."""
    ready, made = threading.Event(), SimpleNamespace()

    async def until_done(manifest):
        made.loop, made.done = asyncio.get_running_loop(), asyncio.Event()
        made.port = start_server(CampaignOnDisk(manifest), 0, "127.0.0.1")
        ready.set()
        await made.done.wait()

    def serve(manifest):
        made.thread = threading.Thread(target=lambda: asyncio.run(until_done(manifest)), daemon=True)
        made.thread.start()
        assert ready.wait(30)
        return f"http://127.0.0.1:{made.port}/alignment"

    yield serve
    made.loop.call_soon_threadsafe(made.done.set)
    made.thread.join(10)


def test_a_campaign_on_disk_is_shown_as_it_changes(campaign, served, tab):
    manifest = campaign()
    tab.goto(served(manifest))
    tab.wait_for_selector("text=waiting")
    run_campaign(manifest)
    tab.wait_for_selector("td >> text=failed: ")
    tab.wait_for_selector("td >> text=pass")
    assert tab.locator("button:visible").count() == 0
    for number, sample in enumerate(manifest.samples[:2]):
        tab.click(f"table >> text={sample.name}")
        tab.wait_for_selector(f".status strong >> text={sample.name}")
        np.testing.assert_allclose(tab.evaluate(ON_PAGE), stored(manifest, number)["j_offset"], atol=1e-6)
        assert "data:image/png" in tab.evaluate("Bokeh.documents[0].get_model_by_name('slice_z').text")
    assert tab.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_sorted_without_a_network(campaign, offline, scheme):
    manifest = campaign()
    run_campaign(manifest)
    html = campaign_report(manifest)
    assert len(html.encode()) / len(manifest.samples) < 20e6 / 300
    tab = offline(html, scheme)
    assert tab.locator("h1").inner_text() == "bones.yaml"
    pictures = tab.locator("img, svg")
    assert pictures.count() == 4
    for picture in pictures.all():
        assert MARKUP in (picture.get_attribute("alt") or picture.get_attribute("aria-label"))
    residuals = [float(stored(manifest, number)["residual"][-1]) for number in range(2)]
    rising = [manifest.samples[number].name for number in np.argsort(residuals)]
    for order in (rising, rising[::-1]):  # what has failed has none, and comes last
        tab.get_by_role("button", name="residual").click()
        names = [row.inner_text() for row in tab.locator("tbody td:first-child").all()]
        assert names == [*order, manifest.samples[2].name]
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) > 384) == (scheme == "light")
