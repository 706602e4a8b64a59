"""``report`` and ``serve-monitor``: files and pages of what is on disk."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

import mumott_dask as md


@pytest.fixture(scope="module")
def result_path(scan_path, invoke):
    path = scan_path.with_name("reported.zarr")
    invoke("align", scan_path, "-o", path, "--quiet", "--iterations", 4)
    return path


def test_a_report_is_a_file(invoke, result_path, scan_path, tmp_path):
    path = tmp_path / "report.html"
    said = invoke("report", result_path, "--output", path, "--scan", scan_path)
    assert said.output.startswith(f"{path}: ")
    html = path.read_text(encoding="utf-8")
    assert "Sinogram</h2>" in html
    assert "before the alignment" in html
    assert "exists already" in invoke("report", result_path, "--output", path, code=2).output


def test_a_report_without_its_scan_says_so(invoke, result_path, tmp_path):
    said = invoke("report", result_path, "--output", tmp_path / "report.html")
    assert "the report has no sinogram" in said.output
    assert "Sinogram</h2>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def manifest_path(scan_path, tmp_path_factory, invoke):
    path = tmp_path_factory.mktemp("campaign") / "bones.yaml"
    path.write_text(f"samples: ['{scan_path}']\nalign: {{iterations: 2}}\nreconstruct: {{iterations: 2}}")
    invoke("campaign", "run", path, "--quiet")
    return path


def test_a_report_of_a_campaign_is_a_table(invoke, manifest_path):
    said = invoke("report", manifest_path)
    path = manifest_path.with_suffix(".html")
    assert said.output.startswith(f"{path}: ")
    html = path.read_text(encoding="utf-8")
    assert html.count("<tr>") == 2
    assert "data:image/png" in html


def test_a_campaign_is_served_from_disk(manifest_path):
    with served(manifest_path) as address:
        assert "<title>Alignment</title>" in urllib.request.urlopen(address).read().decode()


@pytest.mark.parametrize("arguments", [("report", "none.zarr"), ("serve-monitor", "none.zarr")])
def test_what_is_not_there_is_one_line(invoke, arguments):
    assert "none.zarr" in invoke(*arguments, code=2).output


@contextmanager
def served(path):
    """Address of what the command serves, as long as the block runs."""
    line = [sys.executable, "-m", "mumott_dask", "serve-monitor", str(path), "--port", "0"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://127\.0\.0\.1:\d+/alignment", process.stderr.readline())[0]
        finally:
            process.terminate()


def test_a_result_is_served_from_disk(result_path):
    with served(result_path) as address:
        page = urllib.request.urlopen(address).read().decode()
    assert "<title>Alignment</title>" in page
    assert "cdn.bokeh" not in page
    assert md.open_alignment(result_path).sizes["iteration"] == 4
