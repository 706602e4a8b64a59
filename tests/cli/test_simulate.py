"""``mumott-dask simulate``: options, named cases, and what it says of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from mumott_dask import open_scan
from mumott_dask.simulation import CASES, simulate_case


def _facts(shown: str) -> dict[str, str]:
    return {line[:14].strip(): line[14:] for line in shown.splitlines() if line[:14].strip()}


def test_every_option_of_simulate_reaches_the_simulation(invoke, tmp_path):
    from mumott_dask import simulate

    options = [
        "--shape",
        "16x12",
        "--tilts",
        2,
        "--rotations",
        3,
        "--photons",
        0,
        "--jitter",
        0.1,
        "--jumps",
        0.2,
    ]
    options += [
        "--drift",
        0.3,
        "--flux-drift",
        0.01,
        "--extent",
        0.6,
        "--absorbance",
        0.5,
        "--largest-tilt",
        30,
    ]
    options += [
        "--pixel-size",
        2.5,
        "--oversampling",
        1,
        "--seed",
        9,
        "--tilt-angles",
        "0,-20",
        "--arc",
        "-60,60",
    ]
    options += [
        "--angle-error",
        0.5,
        "--axis-error",
        "3,-1",
        "--background",
        0.05,
        "--wrong",
        1,
        "--hot",
        0.02,
    ]
    options += ["--dead-columns", 1, "--thickness", 0.2]
    facts = _facts(invoke("simulate", tmp_path / "scan.h5", *options).stdout)
    assert facts["detector"] == "16 x 12 pixels (j x k), 2.5 µm each"
    expected = simulate(
        (16, 12),
        2,
        3,
        None,
        jitter=0.1,
        jumps=0.2,
        drift=0.3,
        flux_drift=0.01,
        extent=0.6,
        absorbance=0.5,
        largest_tilt=np.radians(30),
        pixel_size=2.5,
        oversampling=1,
        seed=9,
        tilt_angles=np.radians([0, -20]),
        arc=np.radians([-60, 60]),
        angle_error=np.radians(0.5),
        axis_error=np.radians([3, -1]),
        background=0.05,
        wrong=1,
        hot=0.02,
        dead_columns=1,
        thickness=0.2,
    )
    found = open_scan(tmp_path / "scan.h5")
    for name in ("diode", "tomogram_true", "j_offset_true", "rotation", "rotation_true", "wrong_true"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert facts["wrong"] == str(int(np.flatnonzero(expected["wrong_true"])[0]))
    assert facts["angles"].startswith("off by 2.9")


def test_a_slab_and_the_bound(invoke, tmp_path):
    options = ["--shape", "24x24", "--sample", "slab", "--tilt-angles", 61, "--rotations", 3, "--bounds"]
    facts = _facts(invoke("simulate", tmp_path / "scan.zarr", *options).stdout)
    found = open_scan(tmp_path / "scan.zarr")
    assert np.degrees(found["outer_angle"].values) == pytest.approx(61)
    assert facts["bound"] == f"{found.attrs['offset_bound']:.4f} pixel RMS, whoever aligns it (Cramér-Rao)"
    assert "j_offset_bound" in found.coords


def test_the_cases_are_listed_with_what_they_need(invoke):
    lines = invoke("simulate", "--list-cases").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)
    assert lines[list(CASES).index("angles")].endswith("[align with --refine-angles]")
    assert lines[list(CASES).index("combined")].endswith("[align with --background linear --refine-angles]")


def test_a_case_takes_what_is_given_besides(invoke, tmp_path):
    options = ["--case", "angles", "--shape", "24x20", "--tilts", 2, "--rotations", 3]
    facts = _facts(invoke("simulate", tmp_path / "scan.zarr", *options).stdout)
    expected = simulate_case("angles", shape=(24, 20), tilts=2, rotations=3)
    found = open_scan(tmp_path / "scan.zarr")
    np.testing.assert_array_equal(found["diode"], expected["diode"])
    assert found.attrs["case"] == "angles"
    assert facts["to align"] == f"mumott-dask align {tmp_path / 'scan.zarr'} --refine-angles"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--shape", "16"], "expected one such as 65x55"),
        (["--tilts", 0], "simulate: tilts is 0"),
        (["--jitter", -1], "jitter"),
        (["--case", "dark"], "there is no case 'dark', expected one of clean, jumps"),
        (["--axis-error", "3"], "'3' is not 2 angles, expected such as -70,70 (degrees)"),
        (["--tilt-angles", "0;5"], "'0;5' is not angles"),
    ],
)
def test_a_simulation_that_cannot_be(invoke, tmp_path, options, expected):
    assert expected in invoke("simulate", tmp_path / "scan.zarr", *options, code=2).stderr
    assert not list(tmp_path.iterdir())
