"""Files that cannot be read: one line each, with the file, the place, the value, and what would be right."""

import shutil

import h5py
import numpy as np
import pytest

from mumott_dask import ScanError, make_scan, open_scan
from mumott_dask.scan import write_scan


def write_file(path, tree):
    with h5py.File(path, "w") as file:
        for place, value in tree.items():
            file[place] = value
    return path


def sound():
    tree = {}
    for i in range(3):
        tree |= {
            f"projections/{i}/diode": np.ones((4, 5)),
            f"projections/{i}/data": np.ones((4, 5, 2)),
            f"projections/{i}/inner_angle": 0.1 * i,
            f"projections/{i}/weights": np.ones((4, 5)),
        }
    return tree


def refused(path, **kwargs):
    """The one line with which a file is refused; it names the file."""
    with pytest.raises(ScanError) as caught:
        open_scan(path, **kwargs)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_the_sound_file_is_sound(tmp_path):
    open_scan(write_file(tmp_path / "scan.h5", sound()))


# (what is added to the sound file; what is removed from it; the line)
FAULTS = {
    "rotation of wrong shape": (
        {"projections/2/rotation_matrix": np.eye(2)},
        "projection 2: 'rotation_matrix' is (2, 2), expected (3, 3)",
    ),
    "matrix that is no rotation": (
        {"projections/2/rot_mat": 2 * np.eye(3)},
        "projection 2: 'rotation' is not orthogonal (R @ R.T is off the identity by 3), expected a rotation",
    ),
    "mirror image": (
        {"projections/1/rotation_matrix": -np.eye(3)},
        "projection 1: 'rotation' has determinant -1 (a mirror image), expected a rotation",
    ),
    "NaN in a matrix": (
        {"projections/1/rotation_matrix": np.diag([1, 1, np.nan])},
        "projection 1: 'rotation_matrix' is [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, nan]], "
        "expected finite numbers",
    ),
    "NaN angle": (
        {"projections/1/outer_angle": np.nan},
        "projection 1: 'outer_angle' is nan, expected a finite number",
    ),
    "infinite offset": (
        {"projections/1/j_offset": np.inf},
        "projection 1: 'j_offset' is inf, expected a finite number",
    ),
    "offset of two": (
        {"projections/1/offset_k": np.zeros(2)},
        "projection 1: 'offset_k' is (2,), expected one number",
    ),
    "offset as text": (
        {"projections/0/j_offset": "three"},
        "projection 0: 'j_offset' is of type object, expected real numbers",
    ),
    "complex diode": (
        {"projections/1/diode": np.ones((4, 5), complex)},
        "projection 1: 'diode' is of type complex128, expected real numbers",
    ),
    "text in the diode": (
        {"projections/1/diode": np.full((4, 5), b"a")},
        "projection 1: 'diode' is of type |S1, expected real numbers",
    ),
    "empty diode": (
        {"projections/1/diode": h5py.Empty("f4")},
        "projection 1: 'diode' is empty, expected real numbers",
    ),
    "diode without pixels": (
        {"projections/1/diode": np.ones((0, 5))},
        "projection 1: 'diode' is (0, 5), expected an image (J, K)",
    ),
    "diode of three dims": (
        {"projections/1/diode": np.ones((4, 5, 1))},
        "projection 1: 'diode' is (4, 5, 1), expected an image (J, K)",
    ),
    "data of another shape": (
        {"projections/1/data": np.ones((4, 4, 2))},
        "projection 1: 'data' is (4, 4, 2), expected (4, 5) and segments, as 'diode' has it",
    ),
    "data of other segments": (
        {"projections/1/data": np.ones((4, 5, 3))},
        "projection 1: 'data' has 3 segments, expected 2 as in projection 0",
    ),
    "weights of another shape": (
        {"projections/1/weights": np.ones((5, 4))},
        "projection 1: 'weights' is (5, 4), expected (4, 5) as 'diode' has it, or with segments",
    ),
    "weights of other segments": (
        {"projections/1/weights": np.ones((4, 5, 3))},
        "projection 1: 'weights' has 3 segments, expected 2 or none",
    ),
    "angles of other segments": (
        {"detector_angles": np.zeros(3)},
        "'detector_angles' has 3 values, expected 2, one for each segment of 'data'",
    ),
    "axis of two": (
        {"inner_axis": np.ones(2)},
        "'inner_axis' is (2,), expected (3,)",
    ),
    "axis of no length": (
        {"outer_axis": np.zeros(3)},
        "'outer_axis' is [0.0, 0.0, 0.0], of length 0, expected length 1",
    ),
    "axis that is not unit": (
        {"projections/1/inner_axis": np.array([0.0, 0.0, 2.0])},
        "projection 1: 'inner_axis' is [0.0, 0.0, 2.0], of length 2, expected length 1",
    ),
    "direction that is not unit": (
        {"p_direction_0": np.array([0.0, 1.5, 0.0])},
        "'p_direction_0' is [0.0, 1.5, 0.0], of length 1.5, expected length 1",
    ),
    "directions that are not orthogonal": (
        {"j_direction_0": np.array([0.0, 0.6, 0.8])},
        "'p_direction_0' [0.0, 1.0, 0.0] and 'j_direction_0' [0.0, 0.6, 0.8] are not orthogonal "
        "(product 0.6), expected 0",
    ),
    "detector directions that are not orthogonal": (
        {"detector_direction_positive_90": np.array([1.0, 0.0, 0.0])},
        "'detector_direction_origin' [1.0, 0.0, 0.0] and 'detector_direction_positive_90' [1.0, 0.0, 0.0] "
        "are not orthogonal (product 1), expected 0",
    ),
    "volume of two sides": (
        {"volume_shape": np.array([4, 4])},
        "'volume_shape' is (2,), expected (3,)",
    ),
    "volume of no size": (
        {"volume_shape": np.array([4, 0, 4])},
        "'volume_shape' is [4.0, 0.0, 4.0], expected three positive integers",
    ),
    "negative pixel size": (
        {"pixel_size": -1.0},
        "'pixel_size' is -1.0 micrometre, expected more than 0",
    ),
    "NaN in two theta": (
        {"two_theta": np.nan},
        "'two_theta' is nan, expected a finite number",
    ),
    "gap in the numbering": (
        {"projections/4/diode": np.ones((4, 5))},
        "4 projections, but where 3 should be is 4, expected numbers from 0 to 3",
    ),
    "number twice": (
        {"projections/01/diode": np.ones((4, 5))},
        "projection 1 is there twice, as 01 and 1",
    ),
    "a name that is no number": (
        {"projections/dark/diode": np.ones((4, 5))},
        "'projections' holds 'dark', expected numbers from 0 on",
    ),
    "projection without diode": (
        {"projections/3/data": np.ones((4, 5, 2))},
        "projection 3: has no 'diode' (it holds data), expected an image (J, K)",
    ),
    "NaN pixel": (
        {"projections/1/data": np.full((4, 5, 2), np.nan)},
        "projection 1: 'data' holds 40 NaN or infinite values of 40, expected finite ones, "
        "or a replacement: nonfinite=0",
    ),
    "NaN weight": (
        {"projections/1/weights": np.full((4, 5), np.nan)},
        "projection 1: 'weights' holds 20 NaN or infinite values of 20, expected finite ones, "
        "or a replacement: nonfinite=0",
    ),
}


@pytest.mark.parametrize(("changes", "line"), FAULTS.values(), ids=FAULTS)
def test_one_line_for(tmp_path, changes, line):
    assert refused(write_file(tmp_path / "scan.h5", sound() | changes)) == line


def test_first_number_missing(tmp_path):
    tree = {p: v for p, v in sound().items() if not p.startswith("projections/0")}
    line = "2 projections, but where 0 should be is 1, expected numbers from 0 to 1"
    assert refused(write_file(tmp_path / "scan.h5", tree)) == line


def test_data_in_some_projections_alone(tmp_path):
    tree = sound()
    del tree["projections/2/data"]
    line = "projection 2: 'data' has no segments, expected 2 as in projection 0"
    assert refused(write_file(tmp_path / "scan.h5", tree)) == line


def test_one_projection_alone(tmp_path):
    path = write_file(tmp_path / "scan.h5", {"projections/0/diode": np.ones((4, 5))})
    assert refused(path) == "has one projection alone, expected two or more"


def test_group_in_place_of_a_dataset(tmp_path):
    path = write_file(tmp_path / "scan.h5", sound() | {"projections/3/diode/pixels": np.ones((4, 5))})
    assert refused(path).startswith("projection 3: 'diode' cannot be opened (")


def test_dataset_in_place_of_a_projection(tmp_path):
    path = write_file(tmp_path / "scan.h5", sound() | {"projections/3": np.ones((4, 5))})
    assert refused(path).startswith("projection 3: cannot be opened as a group (")


def test_link_to_a_file_that_is_not_there(tmp_path):
    path = write_file(tmp_path / "scan.h5", sound())
    with h5py.File(path, "r+") as file:
        del file["projections/1/diode"]
        file["projections/1/diode"] = h5py.ExternalLink("gone.h5", "/diode")
    line = "projection 1: 'diode' cannot be opened, it links to /diode in gone.h5 ("
    assert refused(path).startswith(line)


def test_hdf5_of_something_else(tmp_path):
    path = write_file(tmp_path / "scan.h5", {"entry/data": np.ones(3), "instrument": 1})
    assert refused(path) == (
        "has no group 'projections' (it holds entry, instrument), expected a mumott scan"
    )


def test_projections_that_are_no_group(tmp_path):
    path = write_file(tmp_path / "scan.h5", {"projections": np.ones((3, 4, 5))})
    assert refused(path) == "'projections' cannot be read, expected a group"


def test_no_projections(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file.create_group("projections")
    assert refused(path) == "'projections' holds none, expected two or more"


def test_file_not_there(tmp_path):
    assert refused(tmp_path / "scan.h5") == "there is no such file"


def test_empty_file(tmp_path):
    path = tmp_path / "scan.h5"
    path.touch()
    assert refused(path) == "is empty, expected an HDF5 file"


def test_text(tmp_path):
    path = tmp_path / "scan.h5"
    path.write_text("angle,offset\n" * 500)
    assert refused(path).startswith("is not an HDF5 file, expected a mumott scan in HDF5")


@pytest.mark.parametrize("part", [10, 600, 0.5, 0.99])
def test_truncated_file(tmp_path, part):
    path = write_file(tmp_path / "scan.h5", sound())
    content = path.read_bytes()
    path.write_bytes(content[: part if part > 1 else int(part * len(content))])
    assert refused(path).startswith("is truncated or damaged, was it copied whole? (")


def test_file_that_may_not_be_read(tmp_path, monkeypatch):
    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    path = write_file(tmp_path / "scan.h5", sound())
    monkeypatch.setattr(h5py, "File", denied)
    assert refused(path).startswith("cannot be opened (")


def test_directory_that_is_no_store(tmp_path):
    assert refused(tmp_path).startswith(
        "is a directory without 'zarr.json', expected a Zarr store of format 3"
    )


def test_zarr_of_format_2(tmp_path):
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    assert refused(tmp_path).startswith("is a Zarr store of format 2, expected")


def test_zarr_of_another_schema_version(tmp_path):
    path = tmp_path / "scan.zarr"
    write_scan(make_scan(np.ones((3, 4, 5)), np.arange(3)), path)
    metadata = path / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert refused(path) == "has schema version 2, this release reads 1"


@pytest.mark.parametrize("chunks", [None, 2])
def test_nan_in_a_zarr_store(tmp_path, chunks):
    images = np.ones((3, 4, 5), np.float32)
    scan = make_scan(images, np.arange(3))
    scan["diode"][1, 2, 3] = np.nan
    write_scan(scan, tmp_path / "scan.zarr")
    with pytest.raises(
        ScanError, match=r"scan.zarr: 'diode': projection 1 holds 1 NaN or infinite values of 20"
    ):
        open_scan(tmp_path / "scan.zarr", chunks=chunks).compute()
    replaced = open_scan(tmp_path / "scan.zarr", chunks=chunks, nonfinite=7).compute()
    assert replaced["diode"][1, 2, 3] == 7
    assert replaced["diode"].attrs == scan["diode"].attrs


def test_file_gone_when_a_chunk_is_read(tmp_path):
    path = write_file(tmp_path / "scan.h5", sound())
    scan = open_scan(path, chunks=1)
    path.unlink()
    with pytest.raises(ScanError, match=r"scan.h5: there is no such file"):
        scan["diode"].compute()


@pytest.mark.parametrize("chunks", [0, -3, 2.5, "all", True, (2, 1)])
def test_chunks_that_are_none(tmp_path, chunks):
    path = write_file(tmp_path / "scan.h5", sound())
    with pytest.raises(ScanError, match=r"^chunks is .*, expected a number of projections, 'auto' or None$"):
        open_scan(path, chunks=chunks)


@pytest.mark.parametrize("value", [np.nan, "zero", np.inf])
def test_replacement_that_is_no_number(tmp_path, value):
    path = write_file(tmp_path / "scan.h5", sound())
    with pytest.raises(ScanError, match=r"^nonfinite is .*, expected a finite number or None$"):
        open_scan(path, nonfinite=value)


def test_nothing_in_a_file_is_executed(tmp_path):
    """A pickle in an opaque dataset stays where it is."""
    tree = sound() | {"projections/1/j_offset": np.void(b"\x80\x04cos\nsystem\n")}
    line = "projection 1: 'j_offset' is of type |V13, expected real numbers"
    assert refused(write_file(tmp_path / "scan.h5", tree)) == line


def test_damaged_extras(tmp_path):
    scan = make_scan(np.ones((3, 4, 5)), np.arange(3))
    write_scan(scan, tmp_path / "whole.h5")
    path = shutil.copy(tmp_path / "whole.h5", tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file["mumott_dask"].attrs["attrs"] = "{not JSON"
    assert refused(path).startswith("'mumott_dask' cannot be read, is it damaged? (")
