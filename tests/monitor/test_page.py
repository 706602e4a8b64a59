"""The dashboard's page in a real browser, with an alignment that runs on a real cluster."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import monitor
from mumott_dask.monitor.events import TOPIC, Teller

NAME = '<img src=x onerror="document.title=1"> & bone.h5'


@pytest.fixture
def running(client, chunked_scan):
    """An alignment in a thread of its own, which goes on until it is stopped, and what came of it.

    Each of its iterations takes half a second at least, or a fast machine would end before a browser has looked.
    """
    made = SimpleNamespace(result=None)

    def run():
        with monitor.watch_alignment(name=NAME, show=False) as watch:

            def slowly(step):
                time.sleep(0.5)
                return watch(step)

            made.result = md.align(chunked_scan, method="optical-flow", tolerance=1e-9, watch=slowly)

    made.thread = threading.Thread(target=run, daemon=True)
    made.thread.start()
    yield made
    made.thread.join(60)


def model(tab, name: str, what: str) -> object:
    return tab.evaluate(f"Bokeh.documents[0].get_model_by_name({name!r}).{what}")


def iterations(tab) -> int:
    return tab.evaluate(
        "Bokeh.documents[0].get_model_by_name('steps').renderers[1].data_source.data.iteration.length"
    )


def wait(tab, condition: str) -> None:
    named = "const named = name => Bokeh.documents[0].get_model_by_name(name)"
    tab.wait_for_function(f"() => {{ {named}; return Bokeh.documents.length > 0 && {condition} }}")


def place(tab, label: int) -> tuple[float, float]:
    """Where on the page the offset j of a projection is."""
    return tab.evaluate(
        """label => {
            const figure = Bokeh.documents[0].get_model_by_name("offsets_j")
            const view = Bokeh.index.find_one(figure), {x_scale, y_scale} = view.frame
            const data = figure.renderers[2].data_source.data
            const at = Array.from(data.label).indexOf(label), box = view.el.getBoundingClientRect()
            return [box.left + x_scale.compute(label), box.top + y_scale.compute(data.j_value[at])]
        }""",
        label,
    )


def test_an_alignment_is_watched_and_steered_from_a_browser(client, running, tab):
    tab.goto(client.dashboard_link)
    monitor.page(client)  # whoever has the dashboard open meets it on the next page
    tab.goto(client.dashboard_link.replace("status", "workers"))
    tab.click("text=Alignment")
    wait(tab, "named('steps').renderers[1].data_source.data.iteration.length > 0")
    # Its curves grow, and its slices change.
    wait(tab, "named('slice_z').text.includes('data:image/png')")  # which may come after the first figures
    before, image = iterations(tab), model(tab, "slice_z", "text")
    wait(tab, f"named('steps').renderers[1].data_source.data.iteration.length > {before}")
    wait(tab, f"named('slice_z').text != {image!r}")
    # A slider shows another slice.
    assert "z = -10" not in model(tab, "slice_z", "text")
    tab.evaluate("Bokeh.documents[0].get_model_by_name('slider_z').value = 0.1")
    wait(tab, "named('slice_z').text.includes('z = -')")
    # Names are text.
    assert tab.locator(".status strong").inner_text() == NAME
    assert tab.title() == "Dask: Alignment"
    # A click opens a projection, which is left out from then on.
    tab.mouse.click(*place(tab, 37))
    wait(tab, "named('opened').text.includes('Projection 37, at iteration')")
    assert model(tab, "opened", "text").count("<img") == 3
    tab.get_by_role("button", name="Exclude projection 37").click()
    tab.wait_for_selector("text=excluded: 37")
    assert not model(tab, "exclude", "visible")
    # The button ends it, and the result is there.
    tab.get_by_role("button", name="Stop after this iteration").click()
    running.thread.join(60)
    result = running.result
    assert (result.attrs["reason"], result.attrs["converged"]) == ("stopped", False)
    assert result.attrs["excluded"] == [37]
    assert result["tomogram"].max() > 0
    tab.wait_for_selector("text=: stopped")
    # A browser is told of the words before the figures.
    grown = f"iteration.length === {result.sizes['iteration']}"
    wait(tab, f"named('steps').renderers[1].data_source.data.{grown}")
    shown = tab.evaluate(
        "Array.from(Bokeh.documents[0].get_model_by_name('offsets_j').renderers[2].data_source.data.j_value)"
    )
    assert len(shown) == 48
    np.testing.assert_allclose(np.diff(shown), np.diff(result["j_offset"]), atol=0.05)  # but for the gauge


def test_runs_that_have_ended_stay_and_one_is_opened_from_the_table(client, tab):
    for name in ("first", NAME):
        teller = Teller(name)
        client.log_event(TOPIC, teller.begin(name))
        client.log_event(TOPIC, teller.end("ended"))
    tab.goto(monitor.page(client))
    tab.wait_for_selector("text=first")
    assert tab.locator(".status strong").inner_text() == NAME
    assert tab.locator("img[src=x]").count() == 0
    tab.click("text=first")
    tab.wait_for_selector(".status strong >> text=first")
