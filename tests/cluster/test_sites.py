"""A site's file: what it may say, and what is said of what it may not."""

from dataclasses import fields

import pytest

from mumott_dask import ScanError
from mumott_dask.cluster import Driver, Jobs, Site, read_site
from mumott_dask.cluster.sites import _SITE

FULL = """
partition: gpu
account: beamtime-42
cores: 32
memory: 240GB
gpus: 4
memory_flag: mem-per-gpu
walltime: 1-12:30:00
jobs: {minimum: 0, maximum: 8}
modules: [cuda/13, python]
environment:
  - source /shared/env/bin/activate
python: /shared/env/bin/python
interface: ib0
scratch: $TMPDIR
shared: /shared/$USER
security: none
protocol: ucx
start_timeout: 2 hours
sbatch: [--constraint=a100, --qos=night]
driver: {partition: small, cores: 1, memory: 2GB, walltime: 24:00:00, interface: eth0}
"""


def read(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return read_site(path)


def test_every_name_is_read(tmp_path):
    assert read(tmp_path, FULL) == Site(
        cores=32,
        memory=240 * 10**9,
        gpus=4,
        partition="gpu",
        account="beamtime-42",
        memory_flag="mem-per-gpu",
        walltime=36 * 3600 + 1800,
        jobs=Jobs(0, 8),
        modules=("cuda/13", "python"),
        environment=("source /shared/env/bin/activate",),
        python="/shared/env/bin/python",
        interface="ib0",
        scratch="$TMPDIR",
        shared="/shared/$USER",
        security="none",
        protocol="ucx",
        start_timeout=7200.0,
        sbatch=("--constraint=a100", "--qos=night"),
        driver=Driver(partition="small", cores=1, memory=2 * 10**9, walltime=86400, interface="eth0"),
    )
    assert set(_SITE) == {each.name for each in fields(Site)}


def test_a_short_file_is_enough(tmp_path):
    site = read(tmp_path, "cores: 4\nmemory: 16GB\njobs: 3\n")
    assert (site.security, site.jobs, site.walltime) == ("tls", Jobs(3, 3), 3600)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("cores: 4\nmemry: 16GB\n", 2, "the site has no 'memry', expected 'memory'"),
        ("cores: 4\n", 1, "the site has no 'memory', expected what a job gets of it"),
        ("cores: 4\nmemory: 16\n", 2, "memory is 16, expected a size such as 60GB"),
        ("cores: four\nmemory: 16GB\n", 1, "cores is 'four', expected a whole number, 1 or more"),
        ("cores: 4\nmemory: 1GB\nwalltime: 60\n", 3, "walltime is 60, expected [days-]hours:minutes:seconds"),
        ("cores: 4\nmemory: 1GB\nwalltime: 0:00:30\n", 3, "walltime is '0:00:30', expected a minute or more"),
        (
            "cores: 4\nmemory: 1GB\njobs: {minimum: 3, maximum: 2}\n",
            3,
            "expected a number, or a minimum and a",
        ),
        ("cores: 4\nmemory: 1GB\njobs: {minimum: 3}\n", 3, "expected a number, or a minimum and a maximum"),
        ("cores: 4\nmemory: 1GB\njobs:\n  smallest: 3\n", 4, "jobs has no 'smallest'"),
        (
            "cores: 4\nmemory: 1GB\nscratch: /my disk\n",
            3,
            "scratch is '/my disk', expected a word without blanks",
        ),
        ("cores: 4\nmemory: 1GB\nmodules: cuda\n", 3, "it is 'cuda', expected a list"),
        (
            "cores: 4\nmemory: 1GB\nprotocol: ucx\n",
            3,
            "protocol is ucx, which can't be encrypted: expected tls",
        ),
        (
            "cores: 4\nmemory: 1GB\nmemory_flag: mem-per-gpu\n",
            3,
            "expected mem or none where there are no gpus",
        ),
        (
            "cores: 4\nmemory: 1GB\ngpus: 2\nworkers: 2\n",
            4,
            "workers is 2, expected none: each of the 2 GPUs",
        ),
        ("cores: 4\nmemory: 1GB\nworkers: 5\n", 3, "workers is 5, expected 4 at most"),
        ("cores: 4\nmemory: [1GB\n", 3, "is no YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, line, expected):
    with pytest.raises(ScanError) as caught:
        read(tmp_path, text)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'site.yaml'}:{line}: ")
    assert expected in told
    assert "\n" not in told


def test_a_site_that_python_makes_is_checked_too():
    with pytest.raises(ScanError, match="the site's protocol is ucx, which can't be encrypted"):
        Site(cores=1, memory=2**30, protocol="ucx")
    assert Site(cores=1, memory=2**30, protocol="ucx", security="none").protocol == "ucx"
