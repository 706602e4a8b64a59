"""What README, manual, examples and docstrings say is run, as it is written."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mumott_dask
from mumott_dask import simulate, write_scan

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/start_here.md",
    "docs/aligning.md",
    "docs/from_mumott.md",
    "docs/workers.md",
    "docs/watching.md",
    "docs/campaigns.md",
    "docs/how_alignment_works.md",
    "docs/accuracy.md",
)
MODULES = sorted(module.name for module in pkgutil.walk_packages(mumott_dask.__path__, "mumott_dask."))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A scan.h5, which pages take for granted."""
    path = tmp_path_factory.mktemp("documents") / "scan.h5"
    write_scan(simulate(shape=(24, 20), tilts=2, rotations=15, jitter=0.5, jumps=1, drift=0.3), path)
    return path


def _run(line: list[str], folder: Path) -> None:
    environment = os.environ | {"MPLBACKEND": "agg"}
    done = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_runs_from_top_to_bottom(page, scan, tmp_path):
    shutil.copy(scan, tmp_path / "scan.h5")
    blocks = re.findall(
        r"^```(python|sh|yaml)\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    assert blocks
    before = ""
    for language, block in blocks:
        if language != before:  # the same again in the other language writes the same files
            for output in tmp_path.glob("*.mumott"):
                output.unlink()
        before = language
        if language == "yaml":  # a file, whose name is its first line
            (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
            continue
        if language == "python":
            (tmp_path / "block.py").write_text(block)
            _run([sys.executable, "block.py"], tmp_path)
            continue
        for command in block.splitlines():
            program, *arguments = shlex.split(command)
            assert program == "mumott-dask"
            _run([sys.executable, "-m", "mumott_dask", *arguments], tmp_path)


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


@pytest.mark.slow  # the gallery, a part of the manual, runs them as well
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


def documented() -> list[str]:
    """Names of the functions and classes in the reference."""
    reference = (ROOT / "docs" / "reference.md").read_text()
    return re.findall(r"^\.\. auto(?:function|class|data|exception):: (\S+)$", reference, re.MULTILINE)


def test_every_public_name_is_in_the_reference():
    names = {name.rpartition(".")[2] for name in documented()}
    for module in ["mumott_dask", *MODULES]:
        public = getattr(importlib.import_module(module), "__all__", ())
        assert set(public) - {"cluster", "monitor", "plot"} <= names, module


def test_the_reference_tells_what_goes_in_and_what_comes_out():
    for name in documented():
        module, _, own = name.rpartition(".")
        found = getattr(importlib.import_module(module), own)
        if not inspect.isfunction(found):
            continue
        assert found.__doc__, name
        signature = inspect.signature(found)
        assert bool(signature.parameters) == ("Parameters\n" in found.__doc__), name
        if signature.return_annotation not in ("None", None):
            assert re.search(r"(Returns|Yields)\n", found.__doc__), name
