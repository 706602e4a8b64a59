import shutil

import h5py
import numpy as np
import pytest
import xarray as xr

from mumott_dask.errors import ScanError
from mumott_dask.scan.hdf5_writer import write_hdf5
from mumott_dask.scan.opening import open_scan
from mumott_dask.scan.writing import write_scan


def assert_same(one, other):
    xr.testing.assert_identical(one, other)
    for name in one.variables:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].attrs == other[name].attrs, name


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("segments", [0, 1, 3])
@pytest.mark.parametrize("chunks", [None, 3])
def test_hdf5_to_zarr_to_hdf5_loses_nothing(tmp_path, example_scan, segments, full, chunks):
    scan = example_scan(segments=segments, full=full)
    scan["diode"].attrs["units"] = "counts"
    scan.attrs["beamline"] = {"name": "c", "energy": 12.4}
    write_scan(scan if chunks is None else scan.chunk(projection=2), tmp_path / "a.h5")
    first = open_scan(tmp_path / "a.h5", chunks=chunks)
    assert_same(first.compute(), scan)
    write_scan(first, tmp_path / "b.zarr")
    second = open_scan(tmp_path / "b.zarr", chunks=chunks)
    assert_same(second.compute(), scan)
    write_scan(second, tmp_path / "c.hdf5")
    assert_same(open_scan(tmp_path / "c.hdf5"), scan)


def test_weights_per_segment_and_labels_come_back(tmp_path, example_scan):
    scan = example_scan(segments=3).assign_coords(projection=[3, 1, 4, 15, 9, 2, 6])
    scan["weights"] = (scan["weights"] * xr.DataArray([1, 0.5, 0], dims="segment")).astype(np.float32)
    write_hdf5(scan, tmp_path / "scan.h5")
    assert_same(open_scan(tmp_path / "scan.h5"), scan)


def test_optional_parts_stay_away(tmp_path, example_scan):
    scan = example_scan(full=False).drop_vars(["inner_angle", "outer_angle", "inner_axis", "outer_axis"])
    write_hdf5(scan, tmp_path / "scan.h5")
    assert_same(open_scan(tmp_path / "scan.h5"), scan)


def test_axes_that_differ_are_written_by_projection(tmp_path, example_scan):
    scan = example_scan(full=False)
    scan["inner_axis"][3] = [0.0, 0.0, 1.0]
    write_hdf5(scan, tmp_path / "scan.h5")
    assert_same(open_scan(tmp_path / "scan.h5"), scan)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert "inner_axis" not in file
        assert file["outer_axis"][...].tolist() == [1.0, 0.0, 0.0]


def test_layout_is_what_mumott_reads(tmp_path, example_scan):
    scan = example_scan(segments=4)
    write_hdf5(scan, tmp_path / "scan.h5")
    with h5py.File(tmp_path / "scan.h5") as file:
        assert sorted(map(int, file["projections"])) == list(range(7))
        for i, group in ((i, file[f"projections/{i}"]) for i in range(7)):
            for name in ("diode", "data", "weights", "j_offset", "k_offset", "inner_angle", "outer_angle"):
                np.testing.assert_array_equal(group[name][...], scan[name].values[i])
            np.testing.assert_array_equal(group["rotation_matrix"], scan["rotation"].values[i])
        for name in ("volume_shape", "p_direction_0", "j_direction_0", "k_direction_0"):
            assert file[name][...].tolist() == scan.attrs[name]
        for name in ("detector_direction_origin", "detector_direction_positive_90"):
            assert file[name][...].tolist() == scan.attrs[name]
        assert file["two_theta"][...].tolist() == [0.0125]
        assert file["detector_angles"][...].tolist() == scan["detector_angle"].values.tolist()


def test_scan_without_data_gets_some_for_mumott_at_no_cost(tmp_path, example_scan):
    scan = example_scan(projections=20, j=100, k=100, full=False)
    write_hdf5(scan, tmp_path / "scan.h5")
    assert (tmp_path / "scan.h5").stat().st_size < 20 * 100 * 100 * 8 + 100_000
    with h5py.File(tmp_path / "scan.h5") as file:
        for i in range(20):
            data = file[f"projections/{i}/data"]
            np.testing.assert_array_equal(data[..., 0], scan["diode"].values[i])
            assert data.shape == (100, 100, 1)
            assert data.attrs["placeholder"]
        assert file["detector_angles"][...].tolist() == [0.0]
    assert "data" not in open_scan(tmp_path / "scan.h5")


def without_pixels(scan):
    return scan.drop_vars([name for name in scan.data_vars if scan[name].ndim > 2])


@pytest.mark.parametrize("segments", [0, 3])
def test_links_carry_the_geometry_and_lead_to_the_pixels(tmp_path, example_scan, segments):
    scan = example_scan(projections=250, j=20, k=16, segments=segments)
    write_hdf5(scan, tmp_path / "source.h5")
    aligned = open_scan(tmp_path / "source.h5", chunks=50)
    aligned["j_offset"] = aligned["j_offset"] + 1.25
    (tmp_path / "sub").mkdir()
    linked = tmp_path / "sub" / "aligned.h5"
    write_hdf5(aligned, linked, link_to=tmp_path / "source.h5")
    assert linked.stat().st_size < 2**20
    again = open_scan(linked)
    for name in ("diode", "weights", *(["data"] if segments else [])):
        np.testing.assert_array_equal(again[name].values, scan[name].values)
    xr.testing.assert_identical(without_pixels(again), without_pixels(aligned))
    with h5py.File(linked) as file:
        np.testing.assert_array_equal(file["projections/7/diode"][...], scan["diode"].values[7])
        expected = scan["data"].values[7] if segments else scan["diode"].values[7][..., None]
        np.testing.assert_array_equal(file["projections/7/data"][...], expected)


def write_bare(scan, path):
    """What a beamline may write: images and angles."""
    with h5py.File(path, "w") as file:
        for i in range(scan.sizes["projection"]):
            group = file.create_group(f"projections/{i}")
            for name in ("diode", "weights", "inner_angle", "outer_angle"):
                group[name] = scan[name].values[i]


@pytest.mark.parametrize(("write", "segments"), [(write_bare, 0), (write_hdf5, 0), (write_hdf5, 3)])
def test_links_to_a_thousand_projections_take_less_than_a_megabyte(tmp_path, example_scan, write, segments):
    """Whatever their pixels take, and with everything that mumott reads in its place."""
    write(example_scan(1000, segments=segments), tmp_path / "source.h5")
    scan = open_scan(tmp_path / "source.h5")
    moved = scan.assign_coords(j_offset=scan["j_offset"] + 0.1, k_offset=scan["k_offset"] - 0.2)
    write_hdf5(moved, tmp_path / "linked.h5", link_to=tmp_path / "source.h5")
    assert (tmp_path / "linked.h5").stat().st_size < 1_000_000
    with h5py.File(tmp_path / "linked.h5") as file:
        for i in (0, 500, 999):
            group = file[f"projections/{i}"]
            data = scan["data"] if "data" in scan else scan["diode"].expand_dims("segment", 3)
            expected = moved.assign(data=data).isel(projection=i).rename(rotation="rotation_matrix")
            names = ("diode", "data", "weights", "rotation_matrix", "inner_angle", "outer_angle")
            for name in (*names, "j_offset", "k_offset"):
                np.testing.assert_array_equal(group[name], expected[name])
    xr.testing.assert_identical(without_pixels(open_scan(tmp_path / "linked.h5")), without_pixels(moved))


def test_angles_that_were_changed_are_written(tmp_path, example_scan):
    scan = example_scan(full=False)
    write_hdf5(scan, tmp_path / "source.h5")
    turned = scan.copy(deep=True)
    turned["inner_angle"][3] += 0.1
    write_hdf5(turned, tmp_path / "link.h5", link_to=tmp_path / "source.h5")
    np.testing.assert_array_equal(open_scan(tmp_path / "link.h5")["inner_angle"], turned["inner_angle"])
    with h5py.File(tmp_path / "link.h5") as file:
        kinds = [type(file.get(f"projections/{i}/inner_angle", getlink=True)) for i in (2, 3)]
    assert kinds == [h5py.ExternalLink, h5py.HardLink]


def test_links_to_a_file_of_links(tmp_path, example_scan):
    scan = example_scan(full=False)
    write_bare(scan, tmp_path / "source.h5")
    first = open_scan(tmp_path / "source.h5")
    write_hdf5(first, tmp_path / "one.h5", link_to=tmp_path / "source.h5")
    write_hdf5(open_scan(tmp_path / "one.h5"), tmp_path / "two.h5", link_to=tmp_path / "one.h5")
    again = open_scan(tmp_path / "two.h5")
    assert "data" not in again
    xr.testing.assert_equal(again, first)
    with h5py.File(tmp_path / "two.h5") as file:
        np.testing.assert_array_equal(file["projections/2/data"][..., 0], scan["diode"].values[2])


def test_linked_files_may_move_together(tmp_path, example_scan):
    scan = example_scan(full=False)
    (tmp_path / "here").mkdir()
    write_hdf5(scan, tmp_path / "here" / "source.h5")
    write_hdf5(scan, tmp_path / "here" / "link.h5", link_to=tmp_path / "here" / "source.h5")
    shutil.move(tmp_path / "here", tmp_path / "there")
    np.testing.assert_array_equal(
        open_scan(tmp_path / "there" / "link.h5")["diode"].values, scan["diode"].values
    )
    with h5py.File(tmp_path / "there" / "link.h5") as file:
        np.testing.assert_array_equal(file["projections/2/data"][..., 0], scan["diode"].values[2])


@pytest.fixture
def ragged(tmp_path):
    """A file whose projections differ in shape, as mumott's users have them."""
    random = np.random.default_rng(1)
    with h5py.File(tmp_path / "ragged.h5", "w") as file:
        for i, shape in enumerate([(6, 5), (4, 5), (5, 3), (6, 4)]):
            group = file.create_group(f"projections/{i}")
            group["diode"] = random.random(shape)
            group["inner_angle"], group["outer_angle"] = 0.3 * i, 0.0
            group["j_offset"], group["k_offset"] = 0.25 * i, -0.5 * i
    return tmp_path / "ragged.h5"


def test_links_to_ragged_projections_read_back_the_same(tmp_path, ragged):
    scan = open_scan(ragged)
    assert scan["j_offset"].values.tolist() == [0.0, 1.25, 1.0, 0.75]
    write_hdf5(scan, tmp_path / "link.h5", link_to=ragged)
    again = open_scan(tmp_path / "link.h5")
    xr.testing.assert_equal(again, scan)
    with h5py.File(tmp_path / "link.h5") as file:
        assert file["projections/1/diode"].shape == (4, 5)
        assert file["projections/1/data"].shape == (4, 5, 1)
        assert file["projections/1/j_offset"][()] == 0.25


def test_ragged_projections_in_full_are_padded(tmp_path, ragged):
    scan = open_scan(ragged)
    write_hdf5(scan, tmp_path / "full.h5")
    with h5py.File(tmp_path / "full.h5") as file:
        assert file["projections/1/diode"].shape == (6, 5)
        assert file["projections/1/weights"][...].sum() == 20
        assert file["projections/1/j_offset"][()] == 1.25
    xr.testing.assert_equal(open_scan(tmp_path / "full.h5"), scan)


def test_links_need_the_pixels_to_be_the_scan_s(tmp_path, example_scan):
    scan = example_scan(full=False)
    source, out = tmp_path / "source.h5", tmp_path / "link.h5"
    write_hdf5(scan, source)
    with pytest.raises(
        ScanError, match=r"source\.h5: has projections of 6 x 5 pixels, the scan of 4 x 5: .*full"
    ):
        write_hdf5(scan.isel(j=slice(4)), out, link_to=source)
    doubled = scan.assign(diode=scan["diode"].copy(data=scan["diode"].values * 2))
    with pytest.raises(ScanError, match=r"'projections/0/diode' is not what the scan holds there"):
        write_hdf5(doubled, out, link_to=source)
    masked = scan.assign(weights=scan["weights"] * 0)
    with pytest.raises(ScanError, match=r"'projections/0/weights' is not what the scan holds there"):
        write_hdf5(masked, out, link_to=source)
    with pytest.raises(ScanError, match=r"has no 'projections/70/diode'"):
        write_hdf5(scan.assign_coords(projection=np.arange(7) * 70), out, link_to=source)
    with pytest.raises(ScanError, match=r"has no 'projections/0/data'"):
        write_hdf5(example_scan(segments=1, full=False), out, link_to=source)
    with pytest.raises(ScanError, match=r"nowhere\.h5: cannot be linked to"):
        write_hdf5(scan, out, link_to=tmp_path / "nowhere.h5")
    assert not out.exists()


def test_scan_without_a_diode_is_refused(tmp_path, example_scan):
    with pytest.raises(ScanError, match=r"scan\.h5: mumott's HDF5 needs a 'diode'"):
        write_hdf5(example_scan().drop_vars("diode"), tmp_path / "scan.h5")


def test_existing_output_and_unknown_suffix_are_refused(tmp_path, example_scan):
    scan = example_scan(full=False)
    write_scan(scan, tmp_path / "scan.h5")
    with pytest.raises(ScanError, match="exists already"):
        write_scan(scan, tmp_path / "scan.h5")
    write_scan(scan, tmp_path / "scan.h5", overwrite=True)
    with pytest.raises(ScanError, match=r"scan\.tif: a scan cannot be written as '\.tif'"):
        write_scan(scan, tmp_path / "scan.tif")
    with pytest.raises(ScanError, match=r"is a dict, expected a scan"):
        write_scan({}, tmp_path / "other.h5")


def test_converting_a_file_onto_itself(tmp_path, example_scan):
    scan = example_scan()
    write_scan(scan, tmp_path / "scan.h5")
    write_scan(open_scan(tmp_path / "scan.h5", chunks=2), tmp_path / "scan.h5", overwrite=True)
    assert_same(open_scan(tmp_path / "scan.h5"), scan)
