"""``mumott-dask validate``: a verdict in words, and its picture."""

from __future__ import annotations


def test_it_says_what_it_thinks_and_draws_it(command, scan_path, result_path, tmp_path):
    picture = tmp_path / "validation.png"
    arguments = ["--alignment", result_path, "--iterations", 10, "--plot", picture]
    done = command("validate", scan_path, *arguments)
    assert done.returncode == 0, done.stderr
    verdict, differences, resolution = done.stdout.splitlines()
    assert verdict.split()[1].rstrip(":") in ("good", "doubtful", "bad")
    assert "of what was stated" in differences
    assert "micrometre" in resolution
    assert "tomogram 13/13" in done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_scan_is_no_alignment(command, scan_path):
    done = command("validate", scan_path, "--alignment", scan_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
