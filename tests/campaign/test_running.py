"""Running a campaign in this process: what it does, what it does not do again, and what it keeps."""

import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mumott_dask as md
from mumott_dask.campaign import campaign_table, read_manifest, run_campaign, work
from mumott_dask.campaign.catalogue import FILE

FAST = "align: {iterations: 4}\nreconstruct: {iterations: 3}\n"


def names(records):
    return [record["sample"] for record in records]


@pytest.fixture(scope="module")
def done(tmp_path_factory, scans, broken):
    """A campaign of three good scans and of broken ones, which has been run."""
    folder = tmp_path_factory.mktemp("campaign")
    listed = "".join(f"- {path}\n" for path in broken)
    (folder / "m.yaml").write_text(f"samples:\n- {scans}/*.h5\n- {scans}/c.zarr\n{listed}{FAST}")
    manifest = read_manifest(folder / "m.yaml")
    run_campaign(manifest)
    return manifest


@pytest.fixture
def again(done, tmp_path):
    """A copy of it to change."""
    shutil.copytree(done.directory, tmp_path / "m.campaign")
    shutil.copy(done.path, tmp_path)

    def changed(old="", new=""):
        path = tmp_path / "m.yaml"
        path.write_text(path.read_text().replace(old, new))
        return read_manifest(path)

    return changed


def test_what_is_broken_stands_in_its_row_and_all_others_are_done(done, broken):
    table = campaign_table(done).set_index("sample")
    assert list(table.index[table["status"] == "done"]) == ["a", "b", "c"]
    failed = table[table["status"] == "failed"]
    assert list(failed.index) == [path.stem for path in broken]
    says = {
        "no_angles": "projection 3: 'rotation_matrix' is (2, 2), expected (3, 3)",
        "nan": "projection 5",
        "empty_projections": "12 of 24 projections hold nothing",
        "gone": "gone.h5: No such file or directory",
    }
    for name, text in says.items():
        assert text in failed.loc[name, "error"]
    assert not failed["error"].str.contains("\n").any()
    for path in broken:
        assert failed.loc[path.stem, "error"].startswith(str(path)) or path.stem == "empty_projections"


def test_a_result_is_that_of_align_and_reconstruct(done, scans):
    scan = md.open_scan(scans / "a.h5")
    alignment = md.align(scan, iterations=4)
    tomogram = md.reconstruct(md.with_offsets(scan, alignment), iterations=3)
    stored = md.open_alignment(done.directory / "samples" / "a.zarr")
    for name in ("j_offset", "k_offset", "j_offset_std", "residual"):
        np.testing.assert_array_equal(stored[name], alignment[name])
    np.testing.assert_array_equal(stored["tomogram"], tomogram)


def test_the_catalogue_and_every_result_say_what_they_were_made_with(done, scans):
    catalogue = pd.read_parquet(done.directory / FILE).set_index("sample")
    digest = hashlib.sha256((scans / "a.h5").read_bytes()).hexdigest()
    row = catalogue.loc["a"]
    assert row["sha256"] == digest
    assert f'"numpy": "{np.__version__}"' in row["versions"]
    assert row["memory"] > 50e6
    assert 0 < row["align_seconds"] < row["seconds"]
    attrs = md.open_alignment(done.directory / "samples" / "a.zarr").attrs["campaign"]
    assert (attrs["sha256"], attrs["settings"]["align"]) == (digest, {"iterations": 4})
    assert attrs["host"] == row["host"]
    assert attrs["date"] == row["date"]


def test_a_finished_campaign_is_not_done_again(again):
    manifest = again()
    before = {path: path.stat().st_mtime_ns for path in manifest.directory.rglob("zarr.json")}
    assert run_campaign(manifest) == []
    assert {path: path.stat().st_mtime_ns for path in manifest.directory.rglob("zarr.json")} == before


def test_failures_are_tried_again_only_if_asked_for(again, broken):
    assert names(run_campaign(again(), retry_failed=True)) == [path.stem for path in broken]


def test_only_what_has_other_settings_is_done_again(again, scans):
    entry = f"- path: {scans}/b.h5\n  bin: 2\n- {scans}/c.zarr"
    manifest = again(f"- {scans}/c.zarr", entry)
    assert list(campaign_table(manifest)["status"][:3]) == ["done", "waiting", "done"]
    assert names(run_campaign(manifest)) == ["b"]


def test_a_scan_is_known_by_size_and_time_and_else_by_its_hash(again, scans, tmp_path):
    shutil.copy(scans / "a.h5", tmp_path / "own.h5")
    manifest = again("align:", f"- {tmp_path}/own.h5\nalign:")
    assert names(run_campaign(manifest)) == ["own"]
    os.utime(tmp_path / "own.h5", ns=(0, 10**18))
    assert run_campaign(manifest) == []  # touched, but the same
    shutil.copy(scans / "b.h5", tmp_path / "own.h5")
    assert names(run_campaign(manifest)) == ["own"]
    (tmp_path / "own.h5").unlink()
    assert run_campaign(manifest) == []  # put away: what was made of it stays
    assert campaign_table(manifest).set_index("sample").loc["own", "status"] == "done"


def test_a_scan_that_comes_later_is_done_then(again, scans, broken):
    *_, gone = broken
    shutil.copy(scans / "a.h5", gone)
    try:
        assert names(run_campaign(again())) == [gone.stem]
    finally:
        gone.unlink()


def test_a_result_whose_record_was_not_written_any_more_is_kept(again):
    manifest = again()
    (manifest.directory / "records" / "a.json").unlink()
    (manifest.directory / "samples" / ".b.0123456789ab.partial.zarr").mkdir()
    assert run_campaign(manifest) == []
    assert campaign_table(manifest).set_index("sample").loc["a", "status"] == "done"
    assert not list(manifest.directory.glob("samples/.*"))


def test_a_result_of_other_settings_whose_record_was_not_written_any_more_is_kept(again):
    manifest = again()
    before = (manifest.directory / "records" / "a.json").read_text()
    manifest = again("reconstruct: {iterations: 3}", "reconstruct: {iterations: 2}")
    run_campaign(manifest)
    (manifest.directory / "records" / "a.json").write_text(before)
    assert run_campaign(manifest) == []


def test_a_result_that_was_removed_is_made_again(again):
    manifest = again()
    shutil.rmtree(manifest.directory / "samples" / "a.zarr")
    assert names(run_campaign(manifest)) == ["a"]


def test_two_runners_do_not_work_on_one_campaign(again):
    manifest = again()
    holding = (
        "import sys, time; from pathlib import Path; from mumott_dask.campaign.state import State\n"
        "with State(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    line = [sys.executable, "-c", holding, str(manifest.directory)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with pytest.raises(md.ScanError, match=f"another process works on this campaign.*{other.pid}"):
                run_campaign(manifest)
        finally:
            other.kill()
    assert run_campaign(manifest) == []


def test_an_interrupt_keeps_what_is_done(again):
    def interrupt(number, count, record):
        raise KeyboardInterrupt

    manifest = again("iterations: 3", "iterations: 2")
    with pytest.raises(KeyboardInterrupt):
        run_campaign(manifest, watch=interrupt)
    rest = run_campaign(manifest)
    assert "a" not in names(rest)
    assert {"b", "c"} <= set(names(rest))


def test_a_sample_that_does_not_fit_is_worked_on_in_chunks(manifest, done):
    found = manifest(f"samples: [SCANS/c.zarr]\nlimits: {{memory: 1 MB}}\n{FAST}")
    (record,) = run_campaign(found)
    assert record["status"] == "done", record["traceback"]
    assert not list((found.directory / "unfinished").iterdir())
    whole, chunked = (md.open_alignment(each.directory / "samples" / "c.zarr") for each in (done, found))
    np.testing.assert_allclose(chunked["j_offset"], whole["j_offset"], atol=1e-4)
    np.testing.assert_allclose(chunked["tomogram"], whole["tomogram"], atol=1e-4)


@pytest.mark.parametrize("last", [2, 4])
def test_a_large_sample_that_was_interrupted_goes_on(manifest, done, monkeypatch, last):
    """In mid-alignment, or after its last iteration."""
    found = manifest(f"samples: [SCANS/c.zarr]\nlimits: {{memory: 1 MB}}\n{FAST}")
    seen = []

    def interrupted(*arguments, **settings):
        def watch(step):
            seen.append(step.iteration)
            if step.iteration == last:
                raise KeyboardInterrupt

        return md.align(*arguments, **settings | {"watch": watch})

    monkeypatch.setattr(work, "align", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(found)
    assert seen == list(range(1, last + 1))
    (record,) = run_campaign(found)
    assert record["status"] == "done", record["traceback"]
    assert seen == [1, 2, 3, 4]  # none of them twice
    whole, gone_on = (md.open_alignment(each.directory / "samples" / "c.zarr") for each in (done, found))
    np.testing.assert_allclose(gone_on["j_offset"], whole["j_offset"], atol=1e-4)
