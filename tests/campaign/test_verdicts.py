"""Verdicts: results that are silently wrong stand out of their siblings."""

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.campaign import campaign_table, read_manifest, run_campaign
from mumott_dask.campaign.verdicts import verdicts
from mumott_dask.scan import make_scan

USUAL = {
    "converged": True,
    "reason": "largest step",
    "projections": 60,
    "wrong": [],
    "residual": 0.01,
    "noise": 0.009,
    "signal": 0.2,
    "j_std": 0.004,
    "k_std": 0.005,
}


def family(count, seed=0, **changes):
    """Facts of siblings of very different flux, whose error bars scatter by 3 %."""
    random = np.random.default_rng(seed)
    for flux, bar in zip(random.uniform(0.2, 5, count), random.normal(1, 0.03, count), strict=True):
        scaled = {name: USUAL[name] * flux for name in ("residual", "noise")}
        bars = {name: USUAL[name] * flux * bar for name in ("j_std", "k_std")}
        yield {}, {**USUAL, **scaled, **bars, **changes}


def test_siblings_that_are_alike_pass_whatever_their_flux():
    assert {each.verdict for each in verdicts(list(family(300)))} == {"pass"}


@pytest.mark.parametrize(
    ("change", "verdict", "why"),
    [
        ({"k_std": 0.0066}, "look", "error bars"),
        ({"k_std": 0.015}, "fail", "error bars"),
        ({"residual": 0.03}, "fail", "residual"),
        ({"converged": False}, "look", "not converged: largest step"),
        ({"converged": False, "k_std": 0.0066}, "fail", "error bars"),
        ({"wrong": list(range(7))}, "look", "7 of 60 projections are wrong"),
        ({"validation": {"verdict": "doubtful", "reason": "angles"}}, "look", "validation: angles"),
        ({"validation": {"verdict": "bad", "reason": "angles"}}, "fail", "validation: angles"),
    ],
)
def test_one_that_is_not_like_its_siblings_is_told_apart(change, verdict, why):
    *others, odd = verdicts([*family(40), ({}, {**USUAL, **change})])
    assert {each.verdict for each in others} == {"pass"}
    assert odd.verdict == verdict
    assert why in odd.why


def test_a_tenth_that_is_wrong_does_not_hide_itself():
    given = verdicts([*family(270), *family(30, 1, residual=0.5)])
    assert [each.verdict != "pass" for each in given] == [False] * 270 + [True] * 30


def test_few_siblings_say_nothing_and_other_settings_make_other_families():
    few = verdicts([*family(3), ({}, {**USUAL, "k_std": 0.05})])
    assert {each.verdict for each in few} == {"pass"}
    assert few[-1].why == "4 results are too few to hold it against"
    other = [({"bin": 2}, {**facts, "k_std": 5 * facts["k_std"]}) for _, facts in family(20)]
    assert {each.verdict for each in verdicts([*family(20), *other])} == {"pass"}


def test_what_has_no_error_bars_has_a_verdict_all_the_same():
    line = {"converged": True, "reason": "line", "projections": 60, "wrong": [], "residual": None}
    assert {each.verdict for each in verdicts([({}, line)] * 8)} == {"pass"}


def test_scans_with_a_tilts_sign_or_halves_of_the_detector_wrong_are_flagged(tmp_path):
    for seed in range(8):
        scan = md.simulate((24, 20), tilts=2, rotations=12, jitter=0.5, jumps=1, photons=10_000, seed=seed)
        if seed == 3:
            tilts = {"tilts": -scan["outer_angle"].values, "outer_axis": scan["outer_axis"].values}
            axes = {"inner_axis": scan["inner_axis"].values[0], "volume_shape": scan.attrs["volume_shape"]}
            scan = make_scan(scan["diode"].values, scan["inner_angle"].values, **tilts, **axes)
        if seed == 5:
            scan["diode"] = scan["diode"].roll(j=12, roll_coords=False)
        md.write_scan(scan, tmp_path / f"{seed}.zarr")
    (tmp_path / "m.yaml").write_text("samples: ['*.zarr']\noutputs: {tomogram: false}")
    manifest = read_manifest(tmp_path / "m.yaml")
    run_campaign(manifest)
    table = campaign_table(manifest)
    assert list(table["sample"][table["verdict"] != "pass"]) == ["3", "5"]
