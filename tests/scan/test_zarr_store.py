import os
import shutil
import subprocess
import sys
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from mumott_dask.errors import ScanError
from mumott_dask.scan import zarr_layout
from mumott_dask.scan.schema import SCHEMA_VERSION
from mumott_dask.scan.zarr_store import open_dataset, open_zarr, stored_kind, write_dataset


def assert_same_bits(one, other):
    xr.testing.assert_identical(one, other)
    for name in one.variables:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].values.tobytes() == other[name].values.tobytes(), name
        assert one[name].attrs == other[name].attrs, name


@pytest.fixture
def small_shards(monkeypatch):
    """Inner chunks of 1 kB in shards of 4 kB, so that small scans are cut as large ones are."""
    monkeypatch.setattr(zarr_layout, "INNER_BYTES", 2**10)
    monkeypatch.setattr(zarr_layout, "SHARD_BYTES", 2**12)


@pytest.mark.parametrize("segments", [0, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_scan_comes_back_bit_for_bit(tmp_path, example_scan, small_shards, segments, lazy):
    scan = example_scan(projections=150, segments=segments)  # whose numbers, too, take more than a chunk
    write_dataset(scan.chunk(projection=7) if lazy else scan, tmp_path / "scan.zarr")
    assert_same_bits(open_zarr(tmp_path / "scan.zarr"), scan)
    assert_same_bits(open_zarr(tmp_path / "scan.zarr", chunks=4).load(), scan)


def test_a_scan_is_read_without_room_for_whole_shards(tmp_path, example_scan):
    scan = example_scan(projections=60, j=256, k=256, full=False)
    write_dataset(scan, tmp_path / "scan.zarr")
    open_zarr(tmp_path / "scan.zarr", chunks=1)  # imports
    tracemalloc.start()
    read = open_zarr(tmp_path / "scan.zarr")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < read.nbytes + 6e6


VALUES = {
    "nan, infinity, signed zero": np.array([np.nan, np.inf, -np.inf, -0.0]),
    "nan with a payload": np.array([0x7FF8000000000123, 0xFFF8000000000001], np.uint64).view(np.float64),
    "float32": np.array([1e-45, 3.4e38, np.nan], np.float32),
    "float16": np.array([1.5, np.nan], np.float16),
    "int": np.array([-(2**63), 2**63 - 1]),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j, np.nan]),
    "strings": np.array(["optical-flow", "é", ""]),
    "all zero": np.zeros(5),
    "time": np.array(["2026-01-01T12:00:00.123456789", "NaT"], "datetime64[ns]"),
    "scalar": np.array(2.5),
    "nothing": np.zeros((0,)),
}


@pytest.mark.parametrize("case", VALUES)
def test_every_type_comes_back_bit_for_bit(tmp_path, case):
    values = VALUES[case]
    variable = (("n",)[: values.ndim], values, {"units": "seconds", "scale_factor_of": 2.0})
    if values.dtype.kind == "M":
        variable = variable[:2]
    dataset = xr.Dataset({"variable": variable}, {"label": (variable[0], values)})
    write_dataset(dataset, tmp_path / "a.zarr", kind="alignment")
    assert_same_bits(open_dataset(tmp_path / "a.zarr", "alignment"), dataset)


def test_attributes_come_back(tmp_path):
    attrs = {
        "converged": False,
        "reason": "größte",
        "n": 3,
        "x": 0.1,
        "list": [1.5, 2],
        "deep": {"a": [None]},
    }
    dataset = xr.Dataset({"v": ("n", [1.0], {"kind": "additive"})}, attrs=attrs)
    write_dataset(dataset, tmp_path / "a.zarr", kind="alignment")
    again = open_dataset(tmp_path / "a.zarr", "alignment")
    assert again.attrs == attrs
    assert again["v"].attrs == {"kind": "additive"}


def files(path):
    return [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]


def test_ten_thousand_small_projections_are_a_few_files(tmp_path):
    diode = da.zeros((10_000, 20, 20), np.float32, chunks=(1000, 20, 20))
    write_dataset(xr.Dataset({"diode": (("projection", "j", "k"), diode)}), tmp_path / "many.zarr")
    array = zarr.open_array(tmp_path / "many.zarr" / "diode", mode="r")
    assert len(files(tmp_path / "many.zarr")) == 1
    assert array.chunks[0] * 20 * 20 * 4 <= 2**20
    assert array.metadata.zarr_format == 3


def test_large_arrays_are_cut_at_the_same_projections(tmp_path, example_scan, small_shards):
    scan = example_scan(projections=50, segments=4)
    write_dataset(scan.chunk(projection=3), tmp_path / "scan.zarr")
    group = zarr.open_group(tmp_path / "scan.zarr", mode="r")
    assert group["data"].shards == (8, 6, 5, 4)
    assert group["diode"].shards == (8, 6, 5)
    assert group["data"].chunks == (2, 6, 5, 4)
    assert group["j_offset"].shards is None
    lazy = open_zarr(tmp_path / "scan.zarr", chunks="auto")
    assert set(lazy.chunksizes["projection"]) == {8, 2}


def test_projections_larger_than_a_shard_are_one_chunk_each(small_shards):
    dataset = xr.Dataset({"diode": (("projection", "j", "k"), np.zeros((3, 40, 40), np.float32))})
    assert zarr_layout.rows(dataset, "projection") == (1, 1)
    assert "shards" not in zarr_layout.encoding(dataset)["diode"]


@pytest.mark.parametrize(("chunks", "expected"), [(1, 1), (2, 2), (3, 4), (7, 8), (100, 50)])
def test_chunks_are_whole_inner_chunks(tmp_path, example_scan, small_shards, chunks, expected):
    write_dataset(example_scan(projections=50, segments=4, full=False), tmp_path / "scan.zarr")
    scan = open_zarr(tmp_path / "scan.zarr", chunks=chunks)
    assert scan.chunksizes["projection"][0] == expected
    assert scan["diode"].chunks[1:] == ((6,), (5,))
    assert isinstance(scan["rotation"].data, np.ndarray)


def test_opening_lazily_reads_no_pixels_and_a_chunk_reads_its_own(tmp_path, example_scan, small_shards):
    write_dataset(example_scan(projections=50, segments=4), tmp_path / "scan.zarr")
    lazy = open_zarr(tmp_path / "scan.zarr", chunks=8)
    expected = lazy["data"][16:24].values
    for name in ("0", "1", "3", "4", "5", "6"):
        place = tmp_path / "scan.zarr" / "data" / "c" / name
        (place / "0" / "0" / "0").write_bytes(b"spoilt")
    spoilt = open_zarr(tmp_path / "scan.zarr", chunks=8)
    np.testing.assert_array_equal(spoilt["data"][16:24].values, expected)


def test_lazy_arrays_of_a_replaced_store_are_not_confused(tmp_path, example_scan):
    names = []
    for seed in (0, 1):
        write_dataset(example_scan(seed=seed), tmp_path / "scan.zarr", overwrite=True)
        names.append(open_zarr(tmp_path / "scan.zarr", chunks=2)["diode"].data.name)
    assert names[0] != names[1]


def test_tomogram_is_chunked_along_x(tmp_path):
    tomogram = xr.DataArray(np.random.default_rng(0).random((6, 5, 4), np.float32), dims=("x", "y", "z"))
    write_dataset(tomogram.to_dataset(name="tomogram"), tmp_path / "t.zarr", kind="tomogram")
    lazy = open_dataset(tmp_path / "t.zarr", "tomogram", chunks=4)["tomogram"]
    assert lazy.chunks == ((4, 2), (5,), (4,))
    np.testing.assert_array_equal(lazy.values, tomogram.values)


def test_another_kind_is_named(tmp_path, example_scan):
    write_dataset(xr.Dataset({"j_offset": ("projection", [0.0])}), tmp_path / "result.zarr", kind="alignment")
    write_dataset(example_scan(), tmp_path / "scan.zarr")
    with pytest.raises(ScanError, match=r"result\.zarr: is an alignment, expected a scan$"):
        open_zarr(tmp_path / "result.zarr")
    with pytest.raises(ScanError, match=r"scan\.zarr: is a scan, expected an alignment$"):
        open_dataset(tmp_path / "scan.zarr", "alignment")
    assert stored_kind(tmp_path / "result.zarr") == "alignment"


def test_another_schema_version_is_named(tmp_path, example_scan):
    write_dataset(example_scan(), tmp_path / "scan.zarr")
    group = zarr.open_group(tmp_path / "scan.zarr", mode="r+")
    group.attrs["mumott_dask"] = {"kind": "scan", "schema_version": 99}
    with pytest.raises(ScanError, match=rf"schema version 99, this release reads {SCHEMA_VERSION}"):
        open_zarr(tmp_path / "scan.zarr")


def test_store_of_someone_else_is_refused(tmp_path):
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(ScanError, match=r"none of mumott_dask's"):
        open_zarr(tmp_path / "other.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ScanError, match=r"no Zarr v3 store"):
        open_zarr(tmp_path / "folder")
    with pytest.raises(ScanError, match=r"no such Zarr store"):
        open_zarr(tmp_path / "nowhere.zarr")


def remove(file):
    file.unlink()


def empty(file):
    os.truncate(file, 0)


def halve(file):
    os.truncate(file, file.stat().st_size // 2)


def shorten(file):
    os.truncate(file, file.stat().st_size - 1)


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("damage", [remove, empty, halve, shorten, flip_a_bit])
@pytest.mark.parametrize("array", ["data", "j_offset"])
def test_damage_is_one_line_and_never_zeros(tmp_path, example_scan, small_shards, array, damage, lazy):
    path = tmp_path / "scan.zarr"
    write_dataset(example_scan(projections=50, segments=4), path)
    damage(next(file for file in (path / array / "c").rglob("*") if file.is_file()))
    with pytest.raises(ScanError, match=rf"scan\.zarr: '{array}' .*damaged") as caught:
        open_zarr(path, chunks=8 if lazy else None).load(scheduler="synchronous")
    assert "\n" not in str(caught.value)


def test_damaged_or_missing_header_is_one_line(tmp_path, example_scan):
    path = tmp_path / "scan.zarr"
    write_dataset(example_scan(), path)
    shutil.rmtree(path / "diode")
    with pytest.raises(ScanError, match=r"'diode' has 0 chunk files, expected 1"):
        open_zarr(path)
    (path / "zarr.json").write_text('{"zarr_format": 3,')
    with pytest.raises(ScanError, match=r"'zarr\.json' cannot be read, the store is damaged"):
        open_zarr(path)


@pytest.mark.parametrize("chunks", [0, -1, "some", True])
def test_bad_chunks_are_one_line(tmp_path, example_scan, chunks):
    write_dataset(example_scan(), tmp_path / "scan.zarr")
    with pytest.raises(ScanError, match=r"chunks is .*, expected a number of projections"):
        open_zarr(tmp_path / "scan.zarr", chunks=chunks)


def test_interrupted_writing_leaves_nothing(tmp_path, example_scan):
    def interrupt(block):
        raise KeyboardInterrupt

    scan = example_scan().chunk(projection=2)
    scan["diode"] = scan["diode"].copy(
        data=scan["diode"].data.map_blocks(interrupt, meta=np.empty((0, 0, 0), "f4"))
    )
    with pytest.raises(KeyboardInterrupt), dask.config.set(scheduler="synchronous"):
        write_dataset(scan, tmp_path / "scan.zarr")
    assert list(tmp_path.iterdir()) == []


STREAM = """
import resource, sys
import dask.array as da, numpy as np, xarray as xr
from mumott_dask.scan import zarr_layout, zarr_store

if __name__ == "__main__":
    zarr_layout.SHARD_BYTES, zarr_store.WRITE_BYTES = 8 * 2**20, 64 * 2**20
    zarr_store.write_dataset(xr.Dataset({"v": ("projection", np.zeros(3))}), sys.argv[1] + "/warm.zarr")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images = da.random.default_rng(0).integers(0, 9, (400, 500, 500), dtype=np.int32, chunks=(10, 500, 500))
    dataset = xr.Dataset({"diode": (("projection", "j", "k"), images)})
    zarr_store.write_dataset(dataset, sys.argv[1] + "/large.zarr")
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_memory_of_writing_is_bounded(tmp_path):
    arguments = [sys.executable, "-c", STREAM, str(tmp_path)]
    outcome = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert int(outcome.stdout) < 160 * 2**20  # of 400 MB written
