"""What README, manual, examples and docstrings say is run, as it is written."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import mumott_dask
from mumott_dask import simulate, write_scan

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/first_alignment.md", "docs/workers.md")
MODULES = sorted(module.name for module in pkgutil.walk_packages(mumott_dask.__path__, "mumott_dask."))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a scan.h5, where the pages' commands can be typed one after the other."""
    folder = tmp_path_factory.mktemp("documents")
    scan = simulate(shape=(24, 20), tilts=2, rotations=15, jitter=0.5, jumps=1, drift=0.3)
    write_scan(scan, folder / "scan.h5")
    return folder


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def _run(line: list[str], folder: Path) -> None:
    environment = os.environ | {"MPLBACKEND": "agg"}
    done = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page, folder):
    blocks = _blocks(page, "python")
    assert blocks
    for block in blocks:
        for output in folder.glob("*.mumott"):
            output.unlink()
        (folder / "block.py").write_text(block)
        _run([sys.executable, "block.py"], folder)


@pytest.mark.parametrize("page", [*PAGES, "docs/accuracy.md"])
def test_the_commands_of_a_page_run(page, folder):
    commands = [line for block in _blocks(page, "sh") for line in block.splitlines()]
    assert commands
    for output in folder.glob("*.mumott"):
        output.unlink()
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "mumott-dask"
        _run([sys.executable, "-m", "mumott_dask", *arguments], folder)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_make_targets_of_a_page_exist(page):
    targets = re.findall(r"^    make (\w+)", (ROOT / page).read_text(), re.MULTILINE)
    assert targets
    done = subprocess.run(
        ["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if "demo" in targets:
        assert "mumott-dask demo --output demo-output" in done.stdout


def test_the_pictures_of_the_pages_are_there():
    for page in ("README.md", "docs/index.md", "docs/accuracy.md"):
        (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / page).read_text())
        assert ((ROOT / page).parent / picture).is_file()


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_an_example_runs_as_it_stands(example, tmp_path):
    _run([sys.executable, str(ROOT / "examples" / example)], tmp_path)
    assert list(tmp_path.glob("*.png"))


def test_every_example_of_a_docstring_gives_what_it_says():
    attempted = 0
    for name in MODULES:
        failed, tried = doctest.testmod(importlib.import_module(name))
        assert not failed, name
        attempted += tried
    assert attempted > 3


def test_every_public_name_is_in_the_reference():
    reference = (ROOT / "docs" / "reference.md").read_text()
    for name in set(mumott_dask.__all__) - {"cluster", "plot"}:
        assert f"mumott_dask.{name}\n" in reference, name
    for room in (mumott_dask.plot, mumott_dask.cluster):
        documented = re.findall(rf"{room.__name__}\.(\w+)", reference)
        assert all(hasattr(room, name) for name in documented)
        assert documented
