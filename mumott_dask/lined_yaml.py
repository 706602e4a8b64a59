"""YAML whose mistakes are told with their line (floor 1)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from mumott_dask.errors import ScanError

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is built


class _Loader(_Parser):
    """YAML 1.1 without code, but 1e-3 is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


class Place:
    """A part of a YAML file, which knows its line."""

    def __init__(self, path: Path, node: yaml.Node):
        self._path, self._node = path, node

    def wrong(self, what: str) -> ScanError:
        """An error with the file and the line."""
        return ScanError(f"{self._path}:{self._node.start_mark.line + 1}: {what}")

    @property
    def is_text(self) -> bool:
        """Whether it is a string."""
        return isinstance(self.value, str)

    @property
    def value(self) -> Any:
        """As plain Python: numbers, strings, lists and dictionaries."""
        try:
            return SafeConstructor().construct_document(self._node)
        except yaml.YAMLError as error:
            raise self.wrong(_one_line(error)) from error

    @property
    def text(self) -> str:
        """As it is written, before YAML takes 12:00:00 for a number; empty where it has parts."""
        return self._node.value if isinstance(self._node, yaml.ScalarNode) else ""

    def items(self, what: str) -> list[Place]:
        """Parts of a list."""
        plain = self._node.tag == "tag:yaml.org,2002:seq"
        if not isinstance(self._node, yaml.SequenceNode) or not plain or not self._node.value:
            raise self.wrong(f"{what} is {self.value!r}, expected a list")
        return [Place(self._path, node) for node in self._node.value]

    def fields(self, what: str, known: Iterable[str] | None = None) -> dict[str, Place]:
        """Parts of a mapping by their names, which must be among the known ones."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.wrong(f"{what} is {self.value!r}, expected names and values")
        SafeConstructor().flatten_mapping(self._node)
        found: dict[str, Place] = {}
        for key, node in self._node.value:
            name, place = Place(self._path, key).value, Place(self._path, key)
            if not isinstance(name, str):
                raise place.wrong(f"{what} names {name!r}, expected a word")
            if known is not None and name not in known:
                raise place.wrong(f"{what} has no {name!r}, expected {_suggested(name, known)}")
            if name in found:
                raise place.wrong(f"{what} names {name!r} twice")
            found[name] = Place(self._path, node)
        return found


def read_yaml(path: Path) -> Place:
    """The whole of a YAML file.

    Raises
    ------
    ScanError
        Where it cannot be read, with the line where it is no YAML.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ScanError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ScanError(f"{path}: is no text ({error.reason})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ScanError(f"{path}{line}: is no YAML: {_one_line(error)}") from error
    if node is None:
        raise ScanError(f"{path}: is empty, expected names and values")
    return Place(path, node)


def _one_line(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


def _suggested(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return repr(close[0]) if close else f"one of {', '.join(known)}"
