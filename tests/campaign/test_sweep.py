"""A sweep: a row for each combination, and a picture."""

import pandas as pd
from matplotlib.image import imread

import mumott_dask as md
from mumott_dask.campaign import campaign_table, run_campaign
from mumott_dask.campaign.contact_sheet import FILE


def test_a_sweep_gives_a_table_and_a_contact_sheet(manifest):
    found = manifest("""
samples: [{path: SCANS/a.h5, name: '$odd_{name}$'}, SCANS/none.h5]
crop: {k: [2, null]}
align: {method: line}
sweep:
  reconstruct.iterations: [1, 4]
  bin: [2]
""")
    run_campaign(found)
    table = campaign_table(found).set_index("sample")
    assert list(table["reconstruct.iterations"]) == [1, 4, 1, 4]
    assert list(table["status"]) == ["done", "done", "failed", "failed"]
    assert tuple(table.loc["$odd_{name}$@1", ["j", "k"]]) == (12, 9)
    tomograms = [
        md.open_alignment(found.directory / f"samples/$odd_{{name}}$@{n}.zarr")["tomogram"] for n in (1, 2)
    ]
    assert float(tomograms[0].max()) < float(tomograms[1].max())
    assert list(pd.read_parquet(found.directory / "catalogue.parquet")["bin"]) == ["2"] * 4
    wide, high = imread(found.directory / FILE).shape[1::-1]
    assert (wide, high) == (396, 440)


def test_a_campaign_without_a_sweep_has_no_contact_sheet(manifest):
    found = manifest("samples: [SCANS/none.h5]")
    run_campaign(found)
    assert not (found.directory / FILE).exists()
