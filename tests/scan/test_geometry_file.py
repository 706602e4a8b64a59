import io
import json
import tarfile

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from mumott_dask.errors import ScanError
from mumott_dask.scan import geometry_file
from mumott_dask.scan.geometry_file import read_geometry, with_geometry, write_geometry
from mumott_dask.scan.writing import write_scan


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: json.load(tar.extractfile(member)) for member in tar}


def write_tar(path, documents):
    with tarfile.open(path, "w") as tar:
        for name, content in documents.items():
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def documents(tmp_path, example_scan):
    write_geometry(example_scan(), tmp_path / "whole.mumott")
    return members(tmp_path / "whole.mumott")


@pytest.mark.parametrize("segments", [0, 3])
def test_geometry_comes_back_exactly(tmp_path, example_scan, segments):
    scan = example_scan(segments=segments)
    write_scan(scan, tmp_path / "a.mumott")
    moved = example_scan(segments=segments, seed=1)
    moved = moved.assign_attrs(p_direction_0=[1.0, 0.0, 0.0], j_direction_0=[0.0, 1.0, 0.0], two_theta=0.5)
    applied = with_geometry(moved, read_geometry(tmp_path / "a.mumott"))
    for name in (
        "rotation",
        "j_offset",
        "k_offset",
        "inner_angle",
        "outer_angle",
        "inner_axis",
        "outer_axis",
    ):
        np.testing.assert_array_equal(applied[name].values, scan[name].values)
    assert applied.attrs == scan.attrs
    xr.testing.assert_identical(applied["diode"].variable, moved["diode"].variable)
    if segments:
        angles = read_geometry(tmp_path / "a.mumott")["detector_angle"].values
        np.testing.assert_array_equal(angles, scan["detector_angle"].values)


def test_members_are_those_of_mumott(documents, example_scan):
    scan = example_scan()
    assert set(documents) == {
        *("_rotations", "_j_offsets", "_k_offsets", "_inner_angles", "_outer_angles", "_inner_axes"),
        *("_outer_axes", "p_direction_0", "j_direction_0", "k_direction_0", "detector_direction_origin"),
        *("detector_direction_positive_90", "two_theta", "projection_shape", "volume_shape"),
        *("detector_angles", "full_circle_covered", "checksum"),
    }
    assert documents["_j_offsets"] == scan["j_offset"].values.tolist()
    assert documents["_rotations"] == scan["rotation"].values.tolist()
    assert documents["projection_shape"] == [6, 5]
    assert documents["two_theta"] == [0.0125]
    assert all(isinstance(document, list) for document in documents.values())


@pytest.mark.parametrize(("segments", "covered"), [(8, False), (0, True)])
def test_coverage_is_judged_as_mumott_does(tmp_path, example_scan, segments, covered):
    scan = example_scan(segments=segments)
    if segments:
        scan = scan.assign_coords(detector_angle=("segment", np.linspace(0, np.pi, segments)))
    write_geometry(scan, tmp_path / "a.mumott")
    assert members(tmp_path / "a.mumott")["full_circle_covered"] == [covered]


def test_what_is_unknown_stays_unknown(tmp_path, example_scan):
    scan = example_scan(full=False).drop_vars(["inner_angle", "outer_angle", "inner_axis", "outer_axis"])
    write_geometry(scan, tmp_path / "a.mumott")
    assert members(tmp_path / "a.mumott")["_inner_axes"] == [None] * 7
    geometry = read_geometry(tmp_path / "a.mumott")
    assert "inner_angle" not in geometry
    assert "inner_axis" not in with_geometry(example_scan(), geometry)


def test_null_as_text_is_read_as_mumott_reads_it(tmp_path, documents):
    documents["_inner_angles"][2] = "null"
    write_tar(tmp_path / "a.mumott", documents)
    assert "inner_angle" not in read_geometry(tmp_path / "a.mumott")


def test_nothing_is_extracted_and_strange_members_are_passed_over(tmp_path, documents):
    hostile = {"../../evil": b"x", "/etc/evil": b"x", "_pickle": b"cos\nsystem\n", **documents}
    path = tmp_path / "folder" / "a.mumott"
    path.parent.mkdir()
    write_tar(path, hostile)
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("volume_shape")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert read_geometry(path).attrs["volume_shape"] == [6, 6, 5]
    assert [p.name for p in tmp_path.rglob("*") if p.name != "whole.mumott"] == ["folder", "a.mumott"]


def test_large_members_are_not_read(tmp_path, documents, monkeypatch):
    monkeypatch.setattr(geometry_file, "MEMBER_BYTES", 100)
    write_tar(tmp_path / "a.mumott", documents)
    with pytest.raises(ScanError, match=r"a\.mumott: '_rotations' has \d+ bytes, expected at most 100"):
        read_geometry(tmp_path / "a.mumott")


FAULTS = {
    "no JSON": ("_j_offsets", b"{[", r"'_j_offsets' is no JSON"),
    "no text": ("_j_offsets", b"\xff\xfe\x00", r"'_j_offsets' is no JSON"),
    "too deep": ("_j_offsets", b"[" * 100_000, r"'_j_offsets' is no JSON"),
    "no list": ("two_theta", {"a": 1}, r"'two_theta' is a dict, expected a list"),
    "empty": ("_rotations", [], r"has no '_rotations'"),
    "too few": ("_k_offsets", [1.0], r"'_k_offsets' is \(1,\), expected \(7,\)"),
    "of words": ("_k_offsets", ["a"] * 7, r"'_k_offsets' holds something else than numbers"),
    "uneven": ("_rotations", [[[1.0]], [1.0]], r"'_rotations' holds something else than numbers"),
    "not a number": (
        "_j_offsets",
        [float("nan")] * 7,
        r"'_j_offsets': number 0 is nan, expected a finite one",
    ),
    "wrong shape": ("p_direction_0", [0.0, 1.0], r"'p_direction_0' is \(2,\), expected \(3,\)"),
    "volume": ("volume_shape", [1, 2, 3, 4], r"'volume_shape' is \(4,\), expected \(3,\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_line(tmp_path, documents, fault):
    member, content, message = FAULTS[fault]
    write_tar(tmp_path / "a.mumott", documents | {member: content})
    with pytest.raises(ScanError, match=r"a\.mumott: .*" + message) as caught:
        read_geometry(tmp_path / "a.mumott")
    assert "\n" not in str(caught.value)


def test_missing_member_or_file(tmp_path, documents):
    del documents["_k_offsets"]
    write_tar(tmp_path / "a.mumott", documents)
    with pytest.raises(
        ScanError, match=r"a\.mumott: has no '_k_offsets', expected a geometry file of mumott's"
    ):
        read_geometry(tmp_path / "a.mumott")
    with pytest.raises(ScanError, match=r"no\.mumott: there is no such file"):
        read_geometry(tmp_path / "no.mumott")


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=50)
def test_arbitrary_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "noise.mumott"
    path.write_bytes(content)
    with pytest.raises(ScanError, match=r"noise\.mumott: "):
        read_geometry(path)


def test_truncated_file_is_refused(tmp_path, example_scan):
    path = tmp_path / "a.mumott"
    write_geometry(example_scan(), path)
    content = path.read_bytes()
    for length in range(0, 4000, 100):
        path.write_bytes(content[:length])
        with pytest.raises(ScanError, match=r"a\.mumott: "):
            read_geometry(path)


def test_geometry_of_another_scan_is_refused(tmp_path, example_scan):
    write_geometry(example_scan(), tmp_path / "a.mumott")
    geometry = read_geometry(tmp_path / "a.mumott")
    with pytest.raises(ScanError, match=r"geometry has 7 projections, the scan 8"):
        with_geometry(example_scan(projections=8), geometry)
    with pytest.raises(ScanError, match=r"projections of 6 x 5 pixels, the scan's are 6 x 9"):
        with_geometry(example_scan(k=9), geometry)
    geometry["rotation"][2] *= 2
    with pytest.raises(ScanError, match=r"projection 2: 'rotation' is not orthogonal"):
        with_geometry(example_scan(), geometry)


def test_existing_file_is_kept(tmp_path, example_scan):
    (tmp_path / "a.mumott").write_text("old")
    with pytest.raises(ScanError, match="exists already"):
        write_geometry(example_scan(), tmp_path / "a.mumott")
    write_geometry(example_scan(), tmp_path / "a.mumott", overwrite=True)
    assert read_geometry(tmp_path / "a.mumott").sizes["projection"] == 7
