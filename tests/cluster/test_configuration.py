"""What a site deploys names what there is."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import dask
import distributed  # noqa: F401 - fills Dask's configuration
import pytest
import yaml

from mumott_dask.cli import main
from mumott_dask.cluster import read_site

ROOT = Path(__file__).parents[2] / "cluster"


def names(settings, prefix=()):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from names(value, (*prefix, name))
        else:
            yield (*prefix, name)


def defaults():
    """Dask's own configuration, whatever this machine's says."""
    return dask.config.merge(*dask.config.defaults)


def test_every_setting_of_dask_is_one_of_its_own():
    settings = yaml.safe_load((ROOT / "dask" / "distributed.yaml").read_text())
    known = set(names(defaults()))
    assert len(set(names(settings))) > 10
    assert set(names(settings)) <= known


def test_every_setting_of_ucx_is_one_that_dask_cuda_makes(monkeypatch, dask_cuda):
    ucxx = ModuleType("distributed_ucxx")
    ucxx.config = ModuleType("config")
    ucxx.config.setup_config = lambda: None
    monkeypatch.setitem(sys.modules, "distributed_ucxx", ucxx)
    with dask.config.set({"distributed-ucxx": {}}):
        known = set(dask_cuda.utils.get_ucx_config(enable_tcp_over_ucx=True))
    settings = yaml.safe_load((ROOT / "dask" / "ucx.yaml").read_text())["distributed-ucxx"]
    assert set(settings) <= known


@pytest.mark.parametrize("name", ["distributed.yaml", "ucx.yaml"])
def test_each_line_says_why(name):
    lines = [line for line in (ROOT / "dask" / name).read_text().splitlines() if not line.startswith("#")]
    assert all("#" in line for line in lines if not line.rstrip().endswith(":"))


@pytest.mark.parametrize("page", ["cluster/README.md", "docs/clusters.md"])
def test_the_commands_of_a_page_are_understood(page):
    lines = re.findall(r"^ *(mumott-dask .*?)(?: +#.*)?$", (ROOT.parent / page).read_text(), re.MULTILINE)
    assert len(lines) > 2
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        main.commands[name].make_context(name, arguments)


def test_the_site_of_the_readme_is_one(tmp_path):
    """What is indented below its name, taken as it is."""
    text = (ROOT / "README.md").read_text().split("# /shared/mumott-dask/gpu.yaml\n")[1].split("\n\n")[0]
    (tmp_path / "gpu.yaml").write_text("\n".join(line.strip() for line in text.splitlines()))
    site = read_site(tmp_path / "gpu.yaml")
    assert (site.gpus, site.jobs.maximum, site.driver.partition) == (4, 8, "small")


def test_the_site_of_the_manual_is_one(tmp_path):
    text = (ROOT.parent / "docs" / "clusters.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "site.yaml").write_text(text)
    assert read_site(tmp_path / "site.yaml").gpus == 2
