"""The page's document, without a browser."""

from __future__ import annotations

import gc
import weakref

from bokeh.document import Document
from bokeh.server.session import ServerSession

from mumott_dask.monitor.document import alignment_document
from mumott_dask.monitor.runs import Runs


def test_a_page_that_was_closed_is_forgotten_without_holding_up_the_scheduler():
    runs, collected = Runs(), []

    def note(phase, info):
        collected.append(info["generation"])

    document = Document()
    alignment_document(runs, None, {}, document)
    assert runs.watched == 1
    gc.disable()
    gc.callbacks.append(note)
    try:
        ServerSession("page", document).destroy()
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert collected == []
    assert runs.watched == 0
    gone = weakref.ref(document)
    del document
    gc.collect()
    assert gone() is None
