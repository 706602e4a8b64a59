import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

from mumott_dask.errors import ScanError
from mumott_dask.scan.tomogram_files import read_tomogram, write_tomogram

SUFFIXES = [".zarr", ".h5", ".hdf5", ".tif", ".tiff", ".mrc"]


@pytest.fixture
def tomogram():
    values = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    attrs = {"units": "absorbance per voxel", "voxel_size": 0.65}
    return xr.DataArray(values, dims=("x", "y", "z"), name="tomogram", attrs=attrs)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tomogram_comes_back(tmp_path, tomogram, suffix, lazy):
    write_tomogram(tomogram.chunk(x=2) if lazy else tomogram, tmp_path / f"t{suffix}")
    again = read_tomogram(tmp_path / f"t{suffix}")
    xr.testing.assert_equal(again, tomogram)
    assert again.dtype == tomogram.dtype
    assert again.name == "tomogram"
    assert again.attrs["units"] == "absorbance per voxel"
    assert again.attrs["voxel_size"] == pytest.approx(0.65, rel=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unknown_voxel_size_stays_unknown(tmp_path, tomogram, suffix):
    tomogram.attrs = {}
    write_tomogram(tomogram, tmp_path / f"t{suffix}")
    assert "voxel_size" not in read_tomogram(tmp_path / f"t{suffix}").attrs


def test_zarr_holds_it_as_x_y_z(tmp_path, tomogram):
    write_tomogram(tomogram, tmp_path / "t.zarr")
    array = zarr.open_group(tmp_path / "t.zarr", mode="r")["tomogram"]
    np.testing.assert_array_equal(array[...], tomogram.values)
    assert array.attrs["voxel_size"] == 0.65
    assert array.metadata.dimension_names == ("x", "y", "z")


def test_hdf5_holds_it_as_x_y_z(tmp_path, tomogram):
    write_tomogram(tomogram, tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        np.testing.assert_array_equal(file["tomogram"], tomogram.values)
        assert file["tomogram"].attrs["voxel_size"] == 0.65
        assert file["tomogram"].attrs["element_size_um"].tolist() == [0.65] * 3
        assert list(file["tomogram"].attrs["dims"]) == ["x", "y", "z"]


def test_tiff_holds_pages_along_z_with_ome_and_resolution(tmp_path, tomogram):
    write_tomogram(tomogram, tmp_path / "t.tif")
    with tifffile.TiffFile(tmp_path / "t.tif") as file:
        np.testing.assert_array_equal(file.asarray(), tomogram.values.transpose(2, 1, 0))
        assert file.series[0].axes == "ZYX"
        assert len(file.pages) == 4
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.65] * 3
        assert [pixels[f"PhysicalSize{axis}Unit"] for axis in "XYZ"] == ["µm"] * 3
        tags = file.pages[0].tags
        across, down = (tags[name].value for name in ("XResolution", "YResolution"))
        assert 1e4 * across[1] / across[0] == pytest.approx(0.65, rel=1e-6)
        assert across == down
        assert tags["ResolutionUnit"].value == 3  # centimetre


def test_mrc_holds_sections_along_z_in_angstrom(tmp_path, tomogram):
    write_tomogram(tomogram, tmp_path / "t.mrc")
    assert mrcfile.validate(tmp_path / "t.mrc")
    with mrcfile.open(tmp_path / "t.mrc") as file:
        np.testing.assert_array_equal(file.data, tomogram.values.transpose(2, 1, 0))
        assert file.is_volume()
        assert file.voxel_size.tolist() == pytest.approx((6500.0, 6500.0, 6500.0))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_order_of_the_dims_does_not_matter(tmp_path, tomogram, suffix):
    write_tomogram(tomogram.transpose("z", "x", "y"), tmp_path / f"t{suffix}")
    xr.testing.assert_equal(read_tomogram(tmp_path / f"t{suffix}"), tomogram)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_output_is_kept_until_overwritten(tmp_path, tomogram, suffix):
    path = tmp_path / f"t{suffix}"
    write_tomogram(tomogram, path)
    with pytest.raises(ScanError, match="exists already"):
        write_tomogram(tomogram * 2, path)
    write_tomogram(tomogram * 2, path, overwrite=True)
    xr.testing.assert_equal(read_tomogram(path), tomogram * 2)
    assert list(tmp_path.iterdir()) == [path]


def test_bad_arguments_are_one_line(tmp_path, tomogram):
    with pytest.raises(
        ScanError, match=r"t\.png: no tomogram can be stored as '\.png', expected one of \.zarr, "
    ):
        write_tomogram(tomogram, tmp_path / "t.png")
    with pytest.raises(ScanError, match=r"is a ndarray, expected a tomogram"):
        write_tomogram(tomogram.values, tmp_path / "t.tif")
    with pytest.raises(ScanError, match=r"has sizes \{'y': 5, 'z': 4\}, expected dims \('x', 'y', 'z'\)"):
        write_tomogram(tomogram[0], tmp_path / "t.tif")
    with pytest.raises(ScanError, match=r"'voxel_size' is -1, expected micrometres"):
        write_tomogram(tomogram.assign_attrs(voxel_size=-1), tmp_path / "t.tif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5", ".tif", ".mrc"])
@pytest.mark.parametrize("content", [b"", b"text", bytes(2000)])
def test_files_of_something_else_are_one_line(tmp_path, suffix, content):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(ScanError, match=r"cannot be read as a tomogram") as caught:
        read_tomogram(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ScanError, match=r"there is no such file"):
        read_tomogram(tmp_path / f"none{suffix}")
