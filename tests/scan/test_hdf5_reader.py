"""mumott's HDF5, read at once or lazily: known files, links, padding, what is read when."""

import io
import os
import pickle

import dask
import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from mumott_dask import ScanError, open_scan
from mumott_dask.scan import write_scan
from mumott_dask.scan.hdf5_file import hdf5_file
from mumott_dask.scan.mumott_headers import projection_header, projection_names


def write_file(path, tree):
    with h5py.File(path, "w") as file:
        for place, value in tree.items():
            file[place] = value
    return path


def tutorial(count=12, j=6, k=5, segments=4, seed=0):
    """The layout of the published tutorial's file, smaller."""
    random = np.random.default_rng(seed)
    tree = {
        "detector_angles": np.linspace(0, np.pi, segments, endpoint=False),
        "detector_direction_origin": np.array([0.0, 0.0, 1.0]),
        "detector_direction_positive_90": np.array([1.0, 0.0, 0.0]),
        "p_direction_0": np.array([0.0, 1.0, 0.0]),
        "j_direction_0": np.array([0.0, 0.0, 1.0]),
        "k_direction_0": np.array([1.0, 0.0, 0.0]),
        "inner_axis": np.array([0.0, 0.0, 1.0]),
        "outer_axis": np.array([1.0, 0.0, 0.0]),
        "two_theta": np.array([0.01]),
        "volume_shape": np.array([k, k, j]),
    }
    for i in range(count):
        tree |= {
            f"projections/{i}/diode": random.random((j, k)),
            f"projections/{i}/data": random.random((j, k, segments)),
            f"projections/{i}/weights": np.ones((j, k, segments)),
            f"projections/{i}/inner_angle": np.array([0.2 * i]),
            f"projections/{i}/outer_angle": np.array([0.1 * (i // 4)]),
            f"projections/{i}/j_offset": np.array([0.5 * i]),
            f"projections/{i}/k_offset": np.array([-0.25 * i]),
        }
    return tree


def test_the_tutorials_layout(tmp_path):
    tree = tutorial()
    scan = open_scan(write_file(tmp_path / "scan.h5", tree))
    assert scan.sizes == {"projection": 12, "j": 6, "k": 5, "segment": 4, "row": 3, "col": 3, "xyz": 3}
    assert {name: v.dtype for name, v in scan.data_vars.items()} == dict.fromkeys(
        ("diode", "data", "weights"), np.dtype("float32")
    )
    assert all(c.dtype == np.float64 for name, c in scan.coords.items() if name != "projection")
    np.testing.assert_array_equal(scan["projection"], np.arange(12))
    np.testing.assert_array_equal(scan["detector_angle"], tree["detector_angles"])
    np.testing.assert_array_equal(scan["data"][11], tree["projections/11/data"].astype(np.float32))
    np.testing.assert_array_equal(scan["k_offset"], -0.25 * np.arange(12))
    assert scan["diode"].attrs["kind"] == "transmission"
    assert scan.attrs == {
        **{name: tree[name].tolist() for name in tree if "direction" in name},
        "volume_shape": [5, 5, 6],
        "two_theta": 0.01,
        "schema_version": 1,
        "source": str(tmp_path / "scan.h5"),
    }


@pytest.mark.parametrize("chunks", [None, 5])
@pytest.mark.parametrize("kept", ["everything", "diode alone"])
def test_conversion_there_and_back_loses_nothing(tmp_path, chunks, kept):
    tree = tutorial()
    if kept == "diode alone":
        tree = {p: v for p, v in tree.items() if p.endswith(("diode", "inner_angle", "j_offset"))}
    scan = open_scan(write_file(tmp_path / "scan.h5", tree), chunks=chunks)
    write_scan(scan, tmp_path / "scan.zarr")
    stored = open_scan(tmp_path / "scan.zarr", chunks=chunks)
    write_scan(stored, tmp_path / "back.h5")
    back = open_scan(tmp_path / "back.h5", chunks=chunks)
    xr.testing.assert_identical(stored.compute(), scan.compute())
    xr.testing.assert_identical(back.compute(), scan.compute())


@pytest.mark.parametrize(
    ("axis", "shape"), [((0, 0, -1), [6, 6, 5]), ((0, 0, 1), [6, 6, 5]), ((-1, 0, 0), [6, 5, 5])]
)
@pytest.mark.parametrize("given_as", ["axis", "matrices"])
def test_the_volume_fits_the_axis_of_rotation(tmp_path, axis, shape, given_as):
    tree = {f"projections/{i}/diode": np.ones((6 - i % 2, 5)) for i in range(9)}
    for i in range(9):
        if given_as == "axis":
            tree |= {"inner_axis": np.array(axis, float), f"projections/{i}/rotations": 0.3 * i}
        else:
            matrix = Rotation.from_rotvec([0.2 * (i // 4), 0, 0]) * Rotation.from_rotvec(
                0.3 * i * np.array(axis)
            )
            tree[f"projections/{i}/rot_mat"] = matrix.as_matrix()
    assert open_scan(write_file(tmp_path / "scan.h5", tree)).attrs["volume_shape"] == shape


def test_padding_leaves_every_pixel_on_its_ray(tmp_path):
    shapes = [(4, 7), (6, 3), (5, 5)]
    tree = {f"projections/{i}/diode": np.full(shape, i + 1) for i, shape in enumerate(shapes)}
    tree |= {f"projections/{i}/j_offset": 0.25 for i in range(3)}
    scan = open_scan(write_file(tmp_path / "scan.h5", tree))
    for i, (j, k) in enumerate(shapes):
        assert scan["j_offset"][i] - scan.sizes["j"] / 2 == 0.25 - j / 2
        assert scan["k_offset"][i] - scan.sizes["k"] / 2 == -k / 2
        assert scan["weights"][i].sum() == j * k
        assert (scan["diode"][i].values[scan["weights"][i].values == 0] == 0).all()


def test_new_names_come_before_old_ones(tmp_path):
    tree = {f"projections/{i}/diode": np.ones((2, 2)) for i in range(2)}
    new = {"inner_angle": 0.1, "outer_angle": 0.2, "j_offset": 1.0, "k_offset": 2.0}
    old = {"rotations": 9.0, "tilts": 9.0, "offset_j": 9.0, "offset_k": 9.0}
    tree |= {f"projections/{i}/{name}": value for i in range(2) for name, value in {**new, **old}.items()}
    scan = open_scan(write_file(tmp_path / "scan.h5", tree))
    assert {name: float(scan[name][1]) for name in new} == new

    turned = Rotation.from_rotvec([0, 0, 0.5]).as_matrix()
    tree |= {"projections/1/rotation_matrix": turned, "projections/1/rot_mat": np.eye(3)}
    scan = open_scan(write_file(tmp_path / "matrices.h5", tree))
    np.testing.assert_array_equal(scan["rotation"][1], turned)


def damaged(path, tree, projections):
    """A file whose pixels of some projections cannot be read: their checksums are wrong."""
    with h5py.File(path, "w") as file:
        for place, value in tree.items():
            large = np.ndim(value) > 1
            file.create_dataset(
                place, data=value, **({"fletcher32": True, "chunks": value.shape} if large else {})
            )
        places = [
            file[f"projections/{i}/{name}"].id.get_chunk_info(0).byte_offset
            for i in projections
            for name in ("diode", "data", "weights")
        ]
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(b"\xff\x3f\xaa\x55")
    return path


def test_opening_reads_no_pixel_and_a_chunk_only_its_own(tmp_path):
    path = damaged(tmp_path / "scan.h5", tutorial(count=12), projections=[4, 7])
    scan = open_scan(path, chunks=2)
    for name in ("diode", "data", "weights"):
        for start in (0, 2, 8, 10):
            assert np.isfinite(scan[name][start : start + 2].values).all()
        with pytest.raises(ScanError, match=rf"scan.h5: projection 4: '{name}' cannot be read"):
            scan[name][4:6].compute()
        with pytest.raises(ScanError, match=rf"scan.h5: projection 7: '{name}' cannot be read"):
            scan[name][6:8].compute()
    with pytest.raises(ScanError, match="cannot be read"):
        open_scan(path)


class CountedFile(io.FileIO):
    """A file that counts the bytes read from it, in all of its instances."""

    count = 0

    def readinto(self, buffer):
        read = super().readinto(buffer)
        CountedFile.count += read
        return read


def test_bytes_read_from_a_large_file(tmp_path, monkeypatch):
    image = np.ones((500, 400), np.float32)
    tree = {f"projections/{i}/{name}": image for i in range(40) for name in ("diode", "weights")}
    path = write_file(tmp_path / "scan.h5", tree)
    opened = h5py.File
    monkeypatch.setattr(h5py, "File", lambda name, *_, **__: opened(CountedFile(name), "r"))

    CountedFile.count = 0
    scan = open_scan(path, chunks=4)
    assert 0 < CountedFile.count < image.nbytes / 4
    CountedFile.count = 0
    scan["diode"][8:12].compute(scheduler="synchronous")
    assert 4 * image.nbytes <= CountedFile.count < 4.25 * image.nbytes


def test_tasks_carry_the_path_and_their_own_names_alone(tmp_path):
    tree = {f"projections/{i}/diode": np.ones((2, 2), np.float32) for i in range(600)}
    scan = open_scan(write_file(tmp_path / "scan.h5", tree), chunks=20)
    copy = pickle.loads(pickle.dumps(scan))
    xr.testing.assert_identical(copy.compute(), scan.compute())
    graph = dict(dask.base.collections_to_expr([scan["diode"].data]).optimize().__dask_graph__())
    assert max(len(pickle.dumps(task)) for task in graph.values()) < 2000


def test_a_changed_file_makes_other_arrays(tmp_path):
    path = write_file(tmp_path / "scan.h5", tutorial())
    first = open_scan(path, chunks=4)
    assert open_scan(path, chunks=4)["diode"].data.name == first["diode"].data.name
    os.utime(path, ns=(0, 12345))
    assert open_scan(path, chunks=4)["diode"].data.name != first["diode"].data.name


def test_auto_chunks_keep_to_dasks_chunk_size(tmp_path):
    path = write_file(tmp_path / "scan.h5", tutorial(count=12, j=8, k=8, segments=4))
    with dask.config.set({"array.chunk-size": 3 * 8 * 8 * 4 * 4}):
        scan = open_scan(path, chunks="auto")
    assert scan["data"].chunks[0] == scan["diode"].chunks[0] == (3, 3, 3, 3)


def test_links_are_followed(tmp_path):
    path = write_file(tmp_path / "pixels.h5", tutorial())
    (tmp_path / "links").mkdir()
    with h5py.File(tmp_path / "links" / "scan.h5", "w") as file:
        file["elsewhere"] = np.array([1.5])
        for i in range(12):
            place = f"/projections/{i}"
            if i % 2:
                file[place] = h5py.ExternalLink("../pixels.h5", place)
                continue
            for name in ("diode", "data", "weights", "inner_angle"):
                file[f"{place}/{name}"] = h5py.ExternalLink("../pixels.h5", f"{place}/{name}")
            file[f"{place}/j_offset"] = h5py.SoftLink("/elsewhere")
    scan = open_scan(tmp_path / "links" / "scan.h5", chunks=5)
    whole = open_scan(path)
    for name in ("diode", "data", "weights", "inner_angle"):
        np.testing.assert_array_equal(scan[name], whole[name])
    np.testing.assert_array_equal(scan["j_offset"], np.where(np.arange(12) % 2, whole["j_offset"], 1.5))


def test_nonfinite_pixels_are_replaced_or_refused(tmp_path):
    tree = tutorial()
    tree["projections/3/diode"][2, 1:3] = np.nan, np.inf
    tree["projections/5/data"][0, 0, 0] = -np.inf
    path = write_file(tmp_path / "scan.h5", tree)
    with pytest.raises(
        ScanError, match=r"scan.h5: projection 3: 'diode' holds 2 NaN or infinite values of 30"
    ):
        open_scan(path)
    lazy = open_scan(path, chunks=2)
    lazy["diode"][4:].compute()
    with pytest.raises(ScanError, match="projection 3: 'diode' holds 2"):
        lazy["diode"][2:4].compute()
    for chunks in (None, 4):
        scan = open_scan(path, chunks=chunks, nonfinite=-1).compute()
        np.testing.assert_array_equal(scan["diode"][3, 2, 1:3], [-1, -1])
        assert scan["data"][5, 0, 0, 0] == -1
        assert (scan["diode"].values == -1).sum() == 2


def test_what_overflows_float32_counts_as_infinite(tmp_path):
    tree = {f"projections/{i}/diode": np.full((2, 2), 10.0 ** (38 + i)) for i in range(2)}
    with pytest.raises(ScanError, match="projection 1: 'diode' holds 4 NaN or infinite"):
        open_scan(write_file(tmp_path / "scan.h5", tree))


def test_headers_that_were_read_are_let_go(tmp_path):
    path = write_file(tmp_path / "many.h5", tutorial(count=200))
    with hdf5_file(path) as file:
        for name in projection_names(file):
            projection_header(file, name, True)
        assert file.id.get_mdc_size()[2] <= 2**18  # bytes; by itself HDF5 keeps them all
