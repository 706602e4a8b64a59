"""A campaign as a YAML file says it, checked before anything runs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dask.utils import parse_bytes

from mumott_dask.lined_yaml import Place, read_yaml

from .samples import Limits, Manifest, Sample
from .settings import checked_binning, checked_settings, with_shared
from .sweep import checked_variants, swept

_OF_A_SCAN = ("align", "reconstruct", "crop", "bin", "nonfinite")
_OF_A_SAMPLE = ("path", "name", "skip", *_OF_A_SCAN)
_TOP = ("samples", *_OF_A_SCAN, "outputs", "limits", "sweep")
_LONGEST_NAME = 200  # bytes, of the 255 that file systems hold
_WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read what a campaign is to do.

    Parameters
    ----------
    path : path
        YAML file: `samples` (a list of paths and globs, relative to the file, each with settings of its own
        where it needs them), `align` and `reconstruct` (settings of those functions), `crop`, `bin`,
        `nonfinite`, `outputs`, `limits`, `sweep`. A scan that several entries match has the settings of all
        of them, those of later entries before those of earlier ones.

    Returns
    -------
    Manifest

    Raises
    ------
    ScanError
        One line with the file, the line in it, what is wrong, and what would be right.
    """
    path = Path(path).absolute()
    top = read_yaml(path)
    parts = top.fields("the manifest", _TOP)
    if "samples" not in parts:
        raise top.wrong("the manifest has no 'samples', expected a list of paths and globs")
    usual = Sample("", path)
    usual = replace(usual, **_settings(parts, usual))
    directory, usual = _outputs(parts.get("outputs"), usual)
    samples = _samples(parts["samples"], usual, directory)
    if "sweep" in parts:
        samples = swept(samples, checked_variants(parts["sweep"], usual))
    samples = [_completed(sample, path.parent) for sample in samples]
    return Manifest(path, directory, tuple(samples), _limits(parts.get("limits")))


def _samples(place: Place, usual: Sample, results: Path) -> list[Sample]:
    """All samples by their entries; where these say nothing, `usual` holds, whose path is the manifest's."""
    samples: dict[Path, Sample] = {}
    entries: dict[Path, Place] = {}
    skipped: set[Path] = set()
    for entry in place.items("samples"):
        parts = {"path": entry} if entry.is_text else entry.fields("a sample", _OF_A_SAMPLE)
        if "path" not in parts:
            raise entry.wrong("a sample has no 'path', expected a file or a glob")
        own = _settings(parts, usual)
        skip = _typed(parts, "skip", bool, False)
        for path in _matching(parts["path"], usual.path.parent, results):
            known = samples.get(path, replace(usual, name=path.stem, path=path))
            name = _filled(_typed(parts, "name", str, known.name), path)
            samples[path] = _overridden(known, own, _checked_name(name, parts.get("name", entry)))
            entries[path] = entry
            (skipped.add if skip else skipped.discard)(path)
    chosen = [sample for path, sample in samples.items() if path not in skipped]
    _check_different(chosen, entries)
    return chosen


def _completed(sample: Sample, folder: Path) -> Sample:
    """A sample whose settings mean the same wherever it is worked on."""
    start = sample.align.get("start", "scan")
    named = {} if start in ("scan", "zero") else {"start": str(folder / start)}
    return replace(
        sample, align={**sample.align, **named}, reconstruct=with_shared(sample.align, sample.reconstruct)
    )


def _overridden(sample: Sample, own: Mapping[str, Any], name: str) -> Sample:
    merged = {key: {**getattr(sample, key), **own[key]} for key in ("align", "reconstruct") if key in own}
    return replace(sample, **{**own, **merged, "name": name})


def _settings(parts: Mapping[str, Place], usual: Sample) -> dict[str, Any]:
    """Settings of scans that a mapping of the manifest holds, by the names that a `Sample` has for them."""
    found: dict[str, Any] = {}
    if "align" in parts:
        found["align"] = checked_settings(parts["align"], "align", usual.align)
    if "reconstruct" in parts:
        found["reconstruct"] = checked_settings(parts["reconstruct"], "reconstruct", usual.reconstruct)
    if "crop" in parts:
        found["crop"] = _checked_crop(parts["crop"])
    if "bin" in parts:
        found["bin"] = checked_binning(parts["bin"])
    if "nonfinite" in parts:
        found["nonfinite"] = _typed(parts, "nonfinite", float, 0.0)
    return found


def _checked_crop(place: Place) -> dict[str, list[int | None]]:
    windows = {name: each.value for name, each in place.fields("crop", ("j", "k")).items()}
    for name, window in windows.items():
        bounds = window if isinstance(window, list) and len(window) == 2 else ["", ""]
        if not all(bound is None or type(bound) is int for bound in bounds):
            raise place.wrong(
                f"crop along {name} is {window!r}, expected [start, stop] in pixels, or null for an end"
            )
    return windows


def _outputs(place: Place | None, usual: Sample) -> tuple[Path, Sample]:
    """Where the results go, and which there are."""
    parts = {} if place is None else place.fields("outputs", ("directory", "tomogram", "validate"))
    directory = _typed(parts, "directory", str, usual.path.with_suffix(".campaign").name)
    wanted = {name: _typed(parts, name, bool, getattr(usual, name)) for name in ("tomogram", "validate")}
    return Path(os.path.normpath(usual.path.parent / directory)), replace(usual, **wanted)


def _limits(place: Place | None) -> Limits:
    parts = {} if place is None else place.fields("limits", ("samples", "memory"))
    samples, memory = _typed(parts, "samples", int, None), None
    if samples is not None and samples < 1:
        raise parts["samples"].wrong(f"samples is {samples}, expected at least 1")
    if "memory" in parts:
        value = parts["memory"].value
        try:
            memory = parse_bytes(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise parts["memory"].wrong(f"memory is {value!r}, expected a size such as 4 GiB") from error
    return Limits(samples, memory)


def _typed(parts: Mapping[str, Place], name: str, kind: type, default: Any) -> Any:
    """A value of a type, or the default where there is none."""
    if name not in parts:
        return default
    value = parts[name].value
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise parts[name].wrong(f"{name} is {value!r}, expected {_WORDS[kind]}")
    return value


def _matching(place: Place, folder: Path, results: Path) -> Iterator[Path]:
    """Files that a path or a glob means, but no results. A path of no file is a sample that fails."""
    pattern = place.value
    if not isinstance(pattern, str) or not pattern or "\0" in pattern:
        raise place.wrong(f"path is {pattern!r}, expected a file or a glob")
    if not glob.has_magic(pattern) or os.path.lexists(folder / pattern):
        yield Path(os.path.normpath(folder / pattern))
        return
    names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207 - absolute ones as well
    found = [path for name in names if results not in (path := Path(os.path.normpath(folder / name))).parents]
    if not found:
        raise place.wrong(f"path {pattern!r} matches no file in {folder}")
    yield from found


def _filled(name: str, path: Path) -> str:
    """A name with the parts of a path in it that it asks for; not by format(), which can do more."""
    return name.replace("{stem}", path.stem).replace("{parent}", path.parent.name)


def _checked_name(name: str, place: Place) -> str:
    """A name that can be a file's in a certain folder, and no other's."""
    if not name or name[0] == "." or set("/\\") & set(name) or not name.isprintable():
        raise place.wrong(f"name {name!r} cannot be a file's, expected letters, digits and the like")
    if len(name.encode()) > _LONGEST_NAME:
        raise place.wrong(f"name {name[:40]!r}... is too long, expected at most {_LONGEST_NAME} bytes")
    return name


def _check_different(samples: list[Sample], entries: Mapping[Path, Place]) -> None:
    seen: dict[str, Path] = {}
    for sample in samples:
        other = seen.setdefault(sample.name, sample.path)
        if other != sample.path:
            raise entries[sample.path].wrong(
                f"{other} and {sample.path} are both named {sample.name!r}, expected different names, "
                "such as name: '{parent}_{stem}'"
            )
