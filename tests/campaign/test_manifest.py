"""Manifests: what they mean, and what is wrong with them, in which line."""

import dataclasses

import pytest

from mumott_dask import ScanError
from mumott_dask.campaign import read_manifest


def by_name(found):
    return {sample.name: sample for sample in found.samples}


def test_samples_come_from_paths_and_globs_relative_to_the_manifest(tmp_path):
    for name in ("b.h5", "a.h5", "c.txt", "(odd) [name].h5"):
        (tmp_path / name).touch()
    (tmp_path / "m.yaml").write_text("samples: ['*.h5', later.h5, '(odd) [name].h5']")
    found = read_manifest(tmp_path / "m.yaml")
    assert [sample.name for sample in found.samples] == ["(odd) [name]", "a", "b", "later"]
    assert found.samples[1].path == tmp_path / "a.h5"
    assert found.directory == tmp_path / "m.campaign"


def test_a_later_entry_overrides_an_earlier_one_and_both_override_the_defaults(manifest):
    found = manifest("""
samples:
  - path: SCANS/*.h5
    align: {tolerance: 1e-2}
    bin: 2
  - path: SCANS/b.h5
    name: knee
    align: {background: linear}
    reconstruct: {iterations: 7}
align: {tolerance: 0.5, variable: diode}
reconstruct: {iterations: 30}
crop: {j: [2, -2]}
""")
    a, knee = found.samples
    assert (a.name, dict(a.align), a.bin) == ("a", {"tolerance": 0.01, "variable": "diode"}, 2)
    assert knee.name == "knee"
    assert dict(knee.align) == {"tolerance": 0.01, "variable": "diode", "background": "linear"}
    assert dict(knee.reconstruct) == {"iterations": 7, "variable": "diode"}
    assert (knee.bin, dict(knee.crop)) == (2, {"j": [2, -2]})


def test_names_are_made_of_the_path_and_samples_can_be_skipped(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scan.h5").touch()
    text = "samples:\n- {path: '*/scan.h5', name: '{parent} {stem}{0.__class__}'}\n- {path: y/scan.h5, skip: true}"
    (tmp_path / "m.yaml").write_text(text)
    (found,) = read_manifest(tmp_path / "m.yaml").samples
    assert found.name == "x scan{0.__class__}"


def test_a_glob_does_not_find_the_campaigns_own_results(tmp_path):
    (tmp_path / "m.campaign" / "samples" / "a.zarr").mkdir(parents=True)
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "m.yaml").write_text("samples: ['**/*.zarr']")
    assert [sample.path for sample in read_manifest(tmp_path / "m.yaml").samples] == [tmp_path / "a.zarr"]


def test_outputs_and_limits(manifest, tmp_path):
    found = manifest("""
samples: [SCANS/a.h5]
outputs: {directory: out/results, tomogram: false, validate: true}
limits: {samples: 3, memory: 2 GiB}
""")
    assert found.directory == tmp_path / "out" / "results"
    assert (found.samples[0].tomogram, found.samples[0].validate) == (False, True)
    assert (found.limits.samples, found.limits.memory) == (3, 2 * 2**30)


def test_a_sweep_is_every_sample_with_every_combination(manifest):
    found = manifest("""
samples: [SCANS/a.h5, SCANS/b.h5]
align: {tolerance: 0.01}
sweep:
  align.background: [null, constant]
  reconstruct.iterations: [5, 10]
  bin: [2]
""")
    assert list(by_name(found)) == [f"{name}@{n}" for name in "ab" for n in (1, 2, 3, 4)]
    last = by_name(found)["b@4"]
    assert dict(last.align) == {"tolerance": 0.01, "background": "constant"}
    assert (dict(last.reconstruct), last.bin) == ({"iterations": 10}, 2)
    assert last.variant == {"align.background": "constant", "reconstruct.iterations": 10, "bin": 2}


def test_settings_are_all_that_a_result_depends_on(manifest):
    (sample,) = manifest("samples: [SCANS/a.h5]").samples
    fields = {field.name for field in dataclasses.fields(sample)}
    assert set(sample.settings) == fields - {"name", "path", "variant"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "is empty, expected names and values"),
        ("samples: [a.h5\nalign: 3", 2, "is no YAML"),
        ("- a.h5", 1, "the manifest is ['a.h5'], expected names and values"),
        ("align: {}", 1, "has no 'samples'"),
        ("samples: []", 1, "samples is [], expected a list"),
        ("samples: [a.h5]\nalgn: {}", 2, "the manifest has no 'algn', expected 'align'"),
        ("samples: [a.h5]\nsamples: [b.h5]", 2, "names 'samples' twice"),
        ("samples: ['*.none']", 1, "path '*.none' matches no file"),
        ("samples: [3]", 1, "a sample is 3, expected names and values"),
        ("samples:\n- name: x", 2, "a sample has no 'path'"),
        ("samples: [x/a.h5, y/a.h5]", 1, "are both named 'a', expected different names"),
        ("samples:\n- path: a.h5\n  name: ../../a", 3, "name '../../a' cannot be a file's"),
        ('samples:\n- path: a.h5\n  name: "a\\e[2J"', 3, "cannot be a file's"),
        ("samples:\n- path: a.h5\n  name: .hidden", 3, "cannot be a file's"),
        (
            "samples: [a.h5]\nalign:\n  method: auto\n  tolerance: -1",
            4,
            "tolerance is -1 pixels, expected more than 0",
        ),
        ("samples: [a.h5]\nalign:\n  tolerance: much", 3, "tolerance is 'much', expected a number"),
        ("samples: [a.h5]\nalign: {method: fast}", 2, "method is 'fast', expected one of auto"),
        ("samples: [a.h5]\nalign: {checkpoint: x}", 2, "align has no 'checkpoint'"),
        ("samples: [a.h5]\nalign: {refine_angles: 1}", 2, "refine_angles is 1, expected true or false"),
        ("samples: [a.h5]\nalign: {exclude: [1, a]}", 2, "expected a list, each a whole number"),
        (
            "samples:\n- path: a.h5\n  align:\n    shift_cap: 3",
            4,
            "shift_cap is 3 pixels, which is for phase-matching",
        ),
        ("samples: [a.h5]\nreconstruct: {iterations: 0}", 2, "iterations is 0, expected at least 1"),
        ("samples: [a.h5]\ncrop: {j: 3}", 2, "crop along j is 3"),
        ("samples: [a.h5]\nbin: true", 2, "bin is True, expected a whole number of pixels"),
        ("samples: [a.h5]\nlimits: {memory: lots}", 2, "memory is 'lots', expected a size"),
        ("samples: [a.h5]\nlimits: {samples: 0}", 2, "samples is 0, expected at least 1"),
        ("samples: [a.h5]\nsweep: {align.tolerance: 3}", 2, "align.tolerance is 3, expected a list"),
        (
            "samples: [a.h5]\nsweep:\n  align.methd: [auto]",
            3,
            "sweep has no 'align.methd', expected 'align.method'",
        ),
        ("samples: [a.h5]\nsweep:\n  align.method: [fast]", 3, "method is 'fast'"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, line, says):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ScanError) as told:
        read_manifest(path)
    place, _, what = str(told.value).partition(": ")
    assert place == (str(path) if line is None else f"{path}:{line}")
    assert says in what
    assert "\n" not in what


def test_a_manifest_is_never_code(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(f"samples: !!python/object/apply:os.system ['touch {tmp_path}/made']")
    with pytest.raises(ScanError, match=r"m\.yaml:1: could not determine a constructor"):
        read_manifest(path)
    path.write_text(f"samples: [a.h5]\nbin: !!python/object/apply:os.system ['touch {tmp_path}/made']")
    with pytest.raises(ScanError, match=r"m\.yaml:2: could not determine a constructor"):
        read_manifest(path)
    assert not (tmp_path / "made").exists()
