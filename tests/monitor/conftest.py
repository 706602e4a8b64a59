"""A browser, where there is one; a cluster, and a scan that is aligned on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import mumott_dask as md
from mumott_dask import cluster

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser(lacking) -> Iterator[object]:
    """Chromium, for one file of tests: as long as it is there, an event loop runs in this thread."""
    if not CHROMIUM.exists():
        lacking(f"{CHROMIUM} is not installed (.ci/install-system)")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser):
    """A tab that must not have complained in the end."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    tab.set_default_timeout(30_000)
    yield tab
    tab.close()
    assert not complaints


@pytest.fixture
def offline(browser, tmp_path):
    """Opens HTML from a file, on a narrow screen; it must have asked for no network, and complained of nothing."""
    with ExitStack() as contexts:

        def opened(html, scheme):
            path = tmp_path / "report.html"
            path.write_text(html, encoding="utf-8")
            context = browser.new_context(
                offline=True, color_scheme=scheme, viewport={"width": 390, "height": 800}
            )
            contexts.callback(context.close)
            tab = context.new_page()
            tab.on("request", lambda request: asked.append(request.url))
            tab.on("console", lambda message: said.append(message.text))
            tab.goto(path.as_uri())
            own.append(path.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
            return tab

        asked: list[str] = []
        said: list[str] = []
        own: list[str] = []
        yield opened
        assert [url for url in asked if not url.startswith("data:")] == own
        assert said == []


@pytest.fixture(scope="module")
def client():
    with cluster.local(workers=1, threads=1, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture(scope="module")
def chunked_scan():
    """48 projections of 26 x 24 pixels at two tilts."""
    return md.simulate(shape=(26, 24), tilts=2, rotations=24, jitter=0.5, jumps=1).chunk(projection=24)
