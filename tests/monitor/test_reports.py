"""The report: complete in itself, right, and text where somebody else has chosen the words."""

from __future__ import annotations

import re

import pytest

import mumott_dask as md
from mumott_dask import monitor


@pytest.fixture(scope="module")
def scan():
    return md.simulate(shape=(26, 24), tilts=2, rotations=12, jitter=0.5, jumps=1, wrong=1)


@pytest.fixture(scope="module")
def result(scan):
    return md.align(scan, exclude=(3,))


@pytest.fixture(scope="module")
def html(scan, result):
    return monitor.report(result, scan, md.reconstruct(scan, iterations=5), "<script>alert(1)</script>.zarr")


def test_it_tells_what_was_found(html, result):
    assert result.attrs["reason"] in html
    assert f"{float(result['residual'][-1]):.4g} absorbance" in html
    (wrong,) = result.attrs["wrong"]
    rows = re.findall(r"<tr><td>(\d+)</td><td>(\w+)</td>", html)
    assert rows == [(str(wrong), "wrong"), ("3", "excluded")]
    taken = sum(
        float(row)
        for row in re.findall(r"</td><td class=\"number\">\d+</td><td class=\"number\">([\d.]+)<", html)
    )
    assert taken == pytest.approx(float(result["seconds"].sum()), abs=0.2)
    for library in ("numpy", "mumott_dask"):
        assert f"<tr><th>{library}</th><td>{result.attrs['versions'][library]}</td>" in html


def test_every_picture_has_words(html):
    figures = re.findall(r'<figure role="img" aria-label="([^"]+)">(<div class="wide"><svg)', html)
    assert len(figures) == 5  # offsets, convergence, slices before and after, sinograms
    assert html.count("<svg") == 5


def test_names_are_text(html):
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.zarr" in html


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_a_file_without_a_network(html, offline, scheme):
    tab = offline(html, scheme)
    assert tab.locator("h1").inner_text() == "<script>alert(1)</script>.zarr"
    ink, paper = (
        tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    text = tab.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert text == ink
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) > 384 for colour in (ink, paper)]
    assert bright == [scheme == "dark", scheme == "light"]


def test_an_alignment_by_centres_of_mass_has_a_report_too(scan):
    html = monitor.report(md.align(scan, method="line"))
    assert html.count("<svg") == 1
