"""Seconds until something happens: imports, help, and the first alignment where nothing is compiled yet."""

from statistics import median

from measuring import python

import mumott_dask as md

GROUP = "Start"
ROUNDS = 7


def test_import_and_help(figure):
    asked = {
        "bare Python": ("-c", "pass"),
        "`import mumott_dask`": ("-c", "import mumott_dask"),
        "`mumott-dask --help`": ("-m", "mumott_dask", "--help"),
    }
    turns = [[python(*arguments)[0] for arguments in asked.values()] for _ in range(ROUNDS + 1)][1:]
    for what, seconds, aim in zip(asked, zip(*turns, strict=True), (None, 0.3, 0.4), strict=True):
        figure(GROUP, what, median(seconds), "s", aim)


def test_first_alignment(figure, tmp_path):
    """With a cache of its own that is empty at first."""
    md.write_scan(md.simulate((24, 20), tilts=2, rotations=12, jitter=0.3), tmp_path / "scan.zarr")
    call = f"import mumott_dask as md; md.align({str(tmp_path / 'scan.zarr')!r})"
    (tmp_path / "cache").mkdir()
    first, second = (python("-c", call, NUMBA_CACHE_DIR=str(tmp_path / "cache"))[0] for _ in range(2))
    note = f"a small scan: {first:.1f} s, then {second:.1f} s"
    figure(GROUP, "what compiling adds to the first `align`", first - second, "s", 15.0, note=note)
