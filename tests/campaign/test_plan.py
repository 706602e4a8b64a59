"""What a campaign is said to take, and what it takes."""

import dataclasses
import json

import pandas as pd
import pytest

import mumott_dask as md
from mumott_dask.campaign import plan_campaign, read_manifest, run_campaign
from mumott_dask.campaign.plan import Pace, estimated, gradients


def test_a_plan_is_of_what_is_left_to_do_and_names_what_cannot_be_opened(manifest, scans):
    found = manifest("samples: [SCANS/*.h5, SCANS/none.h5]\nalign: {method: line}\nlimits: {memory: 100 MB}")
    before = plan_campaign(found)
    assert (before.samples, before.threads) == (3, 1)
    assert [each.name for each in before.estimates] == ["a", "b", "none"]
    assert "none.h5" in before.estimates[2].error
    assert all(each.alone for each in before.estimates[:2])
    assert before.hours > 0
    run_campaign(found)
    assert plan_campaign(found).estimates == []


def test_disk_is_what_results_take(manifest):
    found = manifest("samples: [SCANS/a.h5]\nalign: {iterations: 3}")
    (estimate,) = plan_campaign(found).estimates
    run_campaign(found)
    taken = sum(file.stat().st_size for file in (found.directory / "samples").rglob("*"))
    assert 0.5 * taken < estimate.disk < 2 * taken


def test_more_work_takes_longer(manifest):
    (sample,) = manifest("samples: [SCANS/a.h5]").samples
    usual = gradients(sample, (24, 20))
    for change in (
        {"align": {"refine_angles": True}},
        {"align": {"method": "tutorial"}},
        {"reconstruct": {"iterations": 100}},
        {"validate": True},
    ):
        assert gradients(dataclasses.replace(sample, **change), (24, 20)) > usual
    for change in ({"align": {"iterations": 2}}, {"tomogram": False}):
        assert gradients(dataclasses.replace(sample, **change), (24, 20)) < usual
    pace = Pace(1e-9, 0.0)
    assert (
        estimated(dataclasses.replace(sample, bin=2), pace).duration < 0.2 * estimated(sample, pace).duration
    )


@pytest.mark.slow
def test_memory_is_told_within_half_and_time_within_twice(tmp_path):
    """In processes of their own, which hold nothing else; both on workers of one thread."""
    sizes = [((40, 36), 3, 20), ((65, 55), 4, 25), ((100, 90), 3, 40)]
    for number, (shape, tilts, rotations) in enumerate(sizes):
        md.write_scan(
            md.simulate(shape, tilts=tilts, rotations=rotations, seed=number), tmp_path / f"{number}.zarr"
        )
    (tmp_path / "m.yaml").write_text("samples: ['*.zarr']")
    found = read_manifest(tmp_path / "m.yaml")
    with md.cluster.local(workers=1, threads=1, dashboard_address=None):
        plan = plan_campaign(found)
        run_campaign(found)
    table = pd.read_parquet(found.directory / "catalogue.parquet").set_index("sample")
    for each in plan.estimates:
        row = table.loc[each.name]
        memory, seconds = each.memory / row["memory"], each.duration / row["seconds"]
        print(json.dumps({"sample": each.name, "memory": memory, "seconds": seconds}))
        assert 1 / 1.5 < memory < 1.5
    assert 0.5 < 3600 * plan.hours / table["seconds"].sum() < 2
