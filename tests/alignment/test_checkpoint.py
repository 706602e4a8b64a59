"""Checkpoints: an alignment that was stopped, wherever, ends as if it never had been."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.alignment import checkpoint
from mumott_dask.alignment.checkpoint import is_unfinished

EVERYTHING = {"background": "linear", "refine_angles": True, "refine_geometry": True, "iterations": 6}
SETTINGS = {
    "default": {},
    "everything": EVERYTHING,
    "phase matching": {"method": "phase-matching"},
    "held": {"exclude": [3], "fixed": [0, 1], "directions": "j", "gauge": (0.5, 0, 0), "iterations": 5},
}


@pytest.fixture(scope="module")
def scan():
    return md.simulate(shape=(26, 24), tilts=2, rotations=12, jitter=0.5, jumps=1, drift=0.3, wrong=1)


@pytest.fixture(scope="module")
def never_stopped(scan):
    """Alignments in one go, each made once."""
    made = {}

    def aligned(name):
        if name not in made:
            made[name] = md.align(scan, **SETTINGS[name])
        return made[name]

    return aligned


class KilledError(Exception):
    """What no alignment knows how to handle."""


def stopping(iteration, how):
    def watch(step):
        if step.iteration == iteration:
            raise how

    return watch


def begin(scan, path, iteration, **settings):
    """Leave an alignment unfinished after an iteration."""
    with pytest.raises(KilledError):
        md.align(scan, checkpoint=path, watch=stopping(iteration, KilledError), **settings)


def files(path: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("how", [KeyboardInterrupt, KilledError])
def test_what_was_stopped_ends_as_if_it_never_had_been(scan, never_stopped, name, how, tmp_path):
    expected = never_stopped(name)
    stages, last = list(expected["stage"].values), expected.sizes["iteration"]
    change = next(i for i, stage in enumerate(stages) if stage != stages[0])
    path = tmp_path / "result.zarr"
    for stop in sorted({1, change, change + 1, last}):  # one run, stopped again and again
        watch = stopping(stop, how)
        if how is KilledError:
            with pytest.raises(KilledError):
                md.align(scan, checkpoint=path, watch=watch, **SETTINGS[name])
        else:
            stopped = md.align(scan, checkpoint=path, watch=watch, **SETTINGS[name])
            assert stopped.sizes["iteration"] == stop
            assert stopped.attrs["reason"] == "interrupted"
        assert is_unfinished(path)
    numbers = []
    found = md.align(
        scan, checkpoint=path, watch=lambda step: numbers.append(step.iteration), **SETTINGS[name]
    )
    assert not numbers
    assert found.drop_vars("seconds").identical(expected.drop_vars("seconds"))
    assert not is_unfinished(path)
    np.testing.assert_array_equal(md.open_alignment(path)["j_offset"], expected["j_offset"])
    assert [each.name for each in tmp_path.iterdir()] == ["result.zarr"]


def test_what_was_interrupted_is_an_alignment(scan, never_stopped, tmp_path):
    path = tmp_path / "result.zarr"
    stopped = md.align(scan, checkpoint=path, watch=stopping(3, KeyboardInterrupt))
    read = md.open_alignment(path)
    np.testing.assert_array_equal(read["tomogram"], stopped["tomogram"])
    np.testing.assert_array_equal(read["j_offset"], read["j_offset_history"][-1])
    assert not read.attrs["converged"]
    assert read["tomogram"].shape == never_stopped("default")["tomogram"].shape


def test_what_was_killed_is_none_yet(scan, tmp_path):
    begin(scan, tmp_path / "result.zarr", 1)
    with pytest.raises(md.ScanError, match="is an unfinished alignment, expected an alignment"):
        md.open_alignment(tmp_path / "result.zarr")


def test_it_goes_on_where_it_was_and_says_so(scan, tmp_path, caplog):
    begin(scan, tmp_path / "result.zarr", 3)
    numbers = []
    with caplog.at_level(logging.INFO, "mumott_dask.alignment.checkpoint"):
        md.align(scan, checkpoint=tmp_path / "result.zarr", watch=lambda step: numbers.append(step.iteration))
    assert numbers[0] == 4
    assert caplog.messages == [f"{tmp_path / 'result.zarr'}: goes on after iteration 3"]


def test_chunks_and_their_number_don_t_matter(scan, never_stopped, tmp_path):
    path = tmp_path / "result.zarr"
    begin(scan.chunk(projection=7), path, 1)
    begin(scan, path, 2)
    found = md.align(scan.chunk(projection=12), checkpoint=path)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], never_stopped("default")[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("path", ["store.zarr", "scan.h5"])
def test_a_scan_in_a_file(scan, path, tmp_path):
    md.write_scan(scan, tmp_path / path)
    begin(tmp_path / path, tmp_path / "result.zarr", 2)
    found = md.align(str(tmp_path / path), checkpoint=tmp_path / "result.zarr")
    np.testing.assert_array_equal(found["j_offset"], md.align(tmp_path / path)["j_offset"])


def test_the_centre_of_mass_takes_one_step(scan, tmp_path):
    found = md.align(scan, method="line", checkpoint=tmp_path / "result.zarr")
    np.testing.assert_array_equal(md.open_alignment(tmp_path / "result.zarr")["j_offset"], found["j_offset"])
    assert not is_unfinished(tmp_path / "result.zarr")


def moved(scan):
    return scan.assign_coords(j_offset=scan["j_offset"] + 0.1)


def other_pixel(scan):
    diode = scan["diode"].copy(deep=True)
    diode[5, 10, 10] *= 0.5
    return scan.assign(diode=diode)


def other_mask(scan):
    weights = scan["weights"].copy(deep=True)
    weights[5, 10, 10] = 0
    return scan.assign(weights=weights)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            None,
            {"tolerance": 0.01},
            "was begun with tolerance 0.001, not 0.01: expected the same, a new name",
        ),
        (None, {"exclude": [4]}, r"excluded \[\], not \[4\]"),
        (None, {"window": ((2, 20), None)}, "window"),
        (None, {"start": "zero"}, "another start"),
        (None, {"method": "tutorial"}, "method 'auto', not 'tutorial'"),
        (moved, {}, "another geometry"),
        (other_pixel, {}, "other images .1 differ, the first is number 5"),
        (other_mask, {}, "other images .1 differ, the first is number 5"),
    ],
)
def test_another_scan_or_other_settings_overwrite_nothing(scan, tmp_path, change, settings, message):
    path = tmp_path / "result.zarr"
    begin(scan, path, 1)
    before = files(path)
    other = scan if change is None else change(scan)
    with pytest.raises(md.ScanError, match=message) as caught:
        md.align(other, checkpoint=path, **settings)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert files(path) == before


@pytest.mark.parametrize("unfinished", [True, False])
def test_what_is_there_is_overwritten_where_that_is_asked_for(scan, tmp_path, unfinished):
    path = tmp_path / "result.zarr"
    if unfinished:
        begin(scan, path, 1, tolerance=0.01)
    else:
        md.align(scan, method="line", checkpoint=path)
    found = md.align(scan, checkpoint=path, overwrite=True, iterations=2)
    assert md.open_alignment(path).sizes["iteration"] == found.sizes["iteration"] == 2


def test_a_finished_alignment_is_not_overwritten(scan, tmp_path):
    md.align(scan, method="line", checkpoint=tmp_path / "result.zarr")
    before = files(tmp_path)
    with pytest.raises(md.ScanError, match="exists already"):
        md.align(scan, method="line", checkpoint=tmp_path / "result.zarr")
    assert files(tmp_path) == before


def test_a_folder_that_is_missing_is_told_before_the_work(scan, tmp_path):
    with pytest.raises(md.ScanError, match="there is no folder"):
        md.align(scan, checkpoint=tmp_path / "missing" / "result.zarr")


def test_an_interrupt_while_it_is_written_loses_nothing(scan, never_stopped, tmp_path, monkeypatch):
    path, write, calls = tmp_path / "result.zarr", checkpoint.store_dataset, []

    def interrupted(*arguments):
        write(*arguments)
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "store_dataset", interrupted)
    stopped = md.align(scan, checkpoint=path)
    assert stopped.sizes["iteration"] == 2
    assert [each.name for each in tmp_path.iterdir()] == ["result.zarr"]
    assert md.open_alignment(path).sizes["iteration"] == 2
    found, expected = md.align(scan, checkpoint=path), never_stopped("default")
    assert found.drop_vars("seconds").identical(expected.drop_vars("seconds"))


def test_slabs_of_the_volume_don_t_matter(scan, never_stopped, tmp_path):
    path = tmp_path / "result.zarr"
    begin(scan.chunk(projection=12), path, 2, volume_chunks=7)
    found = md.align(scan.chunk(projection=12), checkpoint=path)
    np.testing.assert_allclose(found["j_offset"], never_stopped("default")["j_offset"], atol=1e-4, rtol=0)


def test_two_do_not_work_on_one(scan, tmp_path, never_stopped):
    path = tmp_path / "one.zarr"

    def try_as_well(step):
        if step.iteration == 2:
            with pytest.raises(md.ScanError, match=r"one\.zarr: is being worked on"):
                md.align(scan, checkpoint=path, overwrite=True)

    result = md.align(scan, checkpoint=path, watch=try_as_well)
    np.testing.assert_array_equal(result["j_offset"], never_stopped("default")["j_offset"])
    assert [place.name for place in tmp_path.iterdir()] == ["one.zarr"]
