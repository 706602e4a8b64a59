"""What a site's SLURM wants to be told, as a YAML file says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dask.utils import parse_bytes, parse_timedelta

from mumott_dask.errors import ScanError
from mumott_dask.lined_yaml import Place, read_yaml

MemoryFlag = Literal["mem", "mem-per-gpu", "none"]


class Jobs(NamedTuple):
    """How many jobs of workers to run: so many, or as many as there is work for."""

    minimum: int
    maximum: int


_ONE = Jobs(1, 1)


@dataclass(frozen=True)
class Driver:
    """What the process that schedules gets: on this machine, or as a job of its own (``--submit``)."""

    partition: str | None = None  #: by default the workers'
    cores: int = 2
    memory: int = 4 * 10**9  #: bytes
    walltime: int | None = None  #: seconds, by default the workers'
    interface: str | None = None  #: network interface, by default the workers'


@dataclass(frozen=True)
class Site:
    """A partition of a SLURM cluster, and what each job of workers takes of it."""

    cores: int  #: of a job
    memory: int  #: bytes, of a job
    gpus: int = 0  #: of a job; each gets a worker process
    workers: int | None = None  #: processes of a job without GPUs; by default what suits its cores
    partition: str | None = None
    account: str | None = None
    memory_flag: MemoryFlag = "mem"  #: how SLURM is told of memory: not at all where it must not be
    walltime: int = 3600  #: seconds
    jobs: Jobs = _ONE
    modules: tuple[str, ...] = ()  #: to load
    environment: tuple[str, ...] = ()  #: lines of shell before a worker starts
    python: str | None = None  #: of the compute nodes; by default the one that runs here
    interface: str | None = None  #: network interface of the workers, such as ib0
    scratch: str | None = None  #: a fast disk of the node's own, for what a worker has no memory for
    shared: str = "~/.mumott-dask"  #: a folder that all nodes see: credentials and logs
    security: Literal["tls", "none"] = "tls"
    protocol: str = ""  #: of Dask's connections; by default tls, or tcp with ``security: none``
    start_timeout: float = 3600.0  #: seconds in which the first worker must come
    sbatch: tuple[str, ...] = ()  #: more options, such as --constraint=a100
    driver: Driver = field(default_factory=Driver)

    def __post_init__(self) -> None:
        fault = _fault(vars(self))
        if fault is not None:
            raise ScanError(f"the site's {fault[1]}")


def read_site(path: str | PathLike[str]) -> Site:
    """Read what a site's SLURM wants to be told.

    Parameters
    ----------
    path : path
        YAML file with the names of `Site`; `cores` and `memory` are required.

    Returns
    -------
    Site

    Raises
    ------
    ScanError
        One line with the file, the line in it, what is wrong, and what would be right.
    """
    top = read_yaml(Path(path))
    found = _read(top, "the site", _SITE)
    for name in ("cores", "memory"):
        if name not in found:
            raise top.wrong(f"the site has no {name!r}, expected what a job gets of it")
    usual = {each.name: each.default for each in fields(Site)}
    fault = _fault(usual | found)
    if fault is not None:
        name, what = fault
        raise top.fields("the site")[name].wrong(what)
    return Site(**found)


def _fault(site: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name whose value does not go with the others, and what is wrong with it."""
    cores, gpus, workers = site["cores"], site["gpus"], site["workers"]
    security, protocol = site["security"], site["protocol"]
    if site["memory_flag"] == "mem-per-gpu" and not gpus:
        return "memory_flag", "memory_flag is mem-per-gpu, expected mem or none where there are no gpus"
    if gpus and workers:
        return "workers", f"workers is {workers}, expected none: each of the {gpus} GPUs gets one"
    if workers and workers > cores:
        return "workers", f"workers is {workers}, expected {cores} at most, as there are cores"
    if security == "tls" and protocol not in ("", "tls"):
        return (
            "protocol",
            f"protocol is {protocol}, which can't be encrypted: expected tls, or security: none",
        )
    if security == "none" and protocol == "tls":
        return "protocol", "protocol is tls, expected another with security: none"
    return None


def _text(place: Place) -> str:
    value = str(place.value) if isinstance(place.value, str | int) else ""
    if not value or "\n" in value:
        raise ValueError("a word")
    return value


def _word(place: Place) -> str:
    """What becomes a part of a command line that dask_jobqueue does not quote."""
    value = _text(place)
    if not re.fullmatch(r"[\w@%+=:,./~${}-]+", value):
        raise ValueError("a word without blanks and quotes")
    return value


def _whole(smallest: int) -> Callable[[Place], int]:
    def convert(place: Place) -> int:
        value = place.value
        if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
            raise ValueError(f"a whole number, {smallest} or more")
        return value

    return convert


def _bytes(place: Place) -> int:
    try:
        value = int(parse_bytes(_text(place)))
    except ValueError:
        value = 0
    if value < 2**20:
        raise ValueError("a size such as 60GB")
    return value


def _walltime(place: Place) -> int:
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", place.text)
    if match is None:
        raise ValueError("[days-]hours:minutes:seconds, such as 12:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 60:
        raise ValueError("a minute or more, SLURM's unit")
    return total


def _duration(place: Place) -> float:
    try:
        value = float(parse_timedelta(_text(place)))
    except (ValueError, KeyError):
        value = 0
    if value <= 0:
        raise ValueError("a time such as 10 minutes")
    return value


def _one_of(*words: str) -> Callable[[Place], str]:
    def convert(place: Place) -> str:
        if place.value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(place.value)

    return convert


def _lines(place: Place) -> tuple[str, ...]:
    return tuple(_text(each) for each in place.items("it"))


def _jobs(place: Place) -> Jobs:
    if not isinstance(place.value, dict):
        number = _whole(1)(place)
        return Jobs(number, number)
    bounds = {"minimum": 0} | _read(place, "jobs", {"minimum": _whole(0), "maximum": _whole(1)})
    if not bounds["minimum"] <= bounds.get("maximum", -1):
        raise ValueError("a number, or a minimum and a maximum of it")
    return Jobs(**bounds)


def _driver(place: Place) -> Driver:
    names = ("partition", "cores", "memory", "walltime", "interface")
    return Driver(**_read(place, "driver", {name: _SITE[name] for name in names}))


_SITE: Mapping[str, Callable[[Place], Any]] = {
    "cores": _whole(1),
    "memory": _bytes,
    "gpus": _whole(0),
    "workers": _whole(1),
    "partition": _word,
    "account": _word,
    "memory_flag": _one_of("mem", "mem-per-gpu", "none"),
    "walltime": _walltime,
    "jobs": _jobs,
    "modules": _lines,
    "environment": _lines,
    "python": _word,
    "interface": _word,
    "scratch": _word,
    "shared": _word,
    "security": _one_of("tls", "none"),
    "protocol": _one_of("tls", "tcp", "ucx", "ucxx"),
    "start_timeout": _duration,
    "sbatch": _lines,
    "driver": _driver,
}


def _read(place: Place, what: str, known: Mapping[str, Callable[[Place], Any]]) -> dict[str, Any]:
    """Values of a mapping, each by its converter, which says what it expected instead."""
    found = {}
    for name, part in place.fields(what, known).items():
        try:
            found[name] = known[name](part)
        except ScanError:
            raise
        except ValueError as error:
            raise part.wrong(f"{name} is {part.value!r}, expected {error}") from error
    return found
