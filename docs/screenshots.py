"""Pictures of the page and the report for the manual: ``make screenshots``, with Debian's chromium."""

from __future__ import annotations

import tempfile
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import mumott_dask as md
from mumott_dask import campaign, cluster, monitor

IMAGES = Path(__file__).parent / "images"
WIDTHS = {"wide": 1280, "narrow": 390}
ITERATIONS = "Bokeh.documents[0].get_model_by_name('steps').renderers[1].data_source.data.iteration.length"
PLACE = """label => {
    const figure = Bokeh.documents[0].get_model_by_name("offsets_j"), view = Bokeh.index.find_one(figure)
    const data = figure.renderers[2].data_source.data, box = view.el.getBoundingClientRect()
    const at = Array.from(data.label).indexOf(label)
    const {x_scale, y_scale} = view.frame
    return [box.left + x_scale.compute(label), box.top + y_scale.compute(data.j_value[at])]
}"""


def main() -> None:
    """Align a simulated bone on a cluster of one worker, and photograph how it is watched."""
    scan = md.simulate(tilts=4, rotations=60, jumps=2, wrong=2)
    with (
        sync_playwright() as playwright,
        cluster.local(workers=1, threads=1, dashboard_address="127.0.0.1:0") as client,
    ):
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        align(scan, "an-hour-ago.h5", iterations=6)
        running = threading.Thread(target=align, args=(scan, "bone.h5"), kwargs={"tolerance": 1e-9})
        running.start()
        photograph_page(browser, monitor.page(client))
        running.join()
        reports = {
            "report": monitor.report(md.align(scan), scan, md.reconstruct(scan), "bone.aligned.zarr"),
            "campaign": report_of_a_campaign(),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, html in reports.items():
                path = Path(folder) / "report.html"
                path.write_text(html, encoding="utf-8")
                for scheme, size, tab in tabs(browser):
                    tab.goto(path.as_uri())
                    shoot(tab, f"{name}-{scheme}-{size}")


def report_of_a_campaign() -> str:
    """Of seven bones, an eighth with the halves of its detector swapped, and a file that is no scan."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(8):
            scan = md.simulate((56, 50), tilts=3, rotations=24, jumps=2, seed=number)
            if number == 5:
                scan = scan.assign(diode=scan["diode"].roll(j=28))
            md.write_scan(scan, Path(folder) / f"femur {number}.zarr")
        (Path(folder) / "notes.h5").write_text("no scan")
        path = Path(folder) / "bones.yaml"
        path.write_text("samples: ['*.zarr', '*.h5']\n")
        manifest = campaign.read_manifest(path)
        campaign.run_campaign(manifest)
        return campaign.campaign_report(manifest).replace(f"{folder}/", "")


def align(scan: Any, name: str, **options: Any) -> None:
    """Align in chunks, watched."""
    with monitor.watch_alignment(name=name, show=False) as watch:
        md.align(scan.chunk(projection=60), method="optical-flow", watch=watch, **options)


def photograph_page(browser: Browser, address: str) -> None:
    """Open a projection in each tab, photograph it, and stop the alignment."""
    for scheme, size, tab in tabs(browser):
        tab.goto(address)
        tab.wait_for_function(f"() => Bokeh.documents.length > 0 && {ITERATIONS} > 6")
        tab.mouse.click(*tab.evaluate(PLACE, 37))
        tab.wait_for_selector("text=Projection 37, at iteration")
        shoot(tab, f"page-{scheme}-{size}")
    tab = browser.new_page()
    tab.goto(address)
    tab.get_by_role("button", name="Stop after this iteration").click()
    tab.wait_for_selector("text=stopping")
    tab.close()


def tabs(browser: Browser) -> Any:
    """Light and dark, wide and narrow tabs, one after the other."""
    for scheme in ("light", "dark"):
        for size, width in WIDTHS.items():
            tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            tab.set_default_timeout(120_000)
            yield scheme, size, tab
            tab.close()


def shoot(tab: Any, name: str) -> None:
    """Photograph all of a tab, from its top to its bottom."""
    tab.wait_for_timeout(1500)
    shot = Image.open(BytesIO(tab.screenshot(full_page=True)))
    shot.convert("RGB").quantize(256).save(IMAGES / f"watching-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
