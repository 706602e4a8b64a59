import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import erf

from mumott_dask.errors import ScanError
from mumott_dask.scan import schema
from mumott_dask.scan.resampling import bin_scan, crop

BLOBS = np.array([[1.5, -2.0, 0.7], [-3.0, 1.0, 2.0]])
WIDTH = 2.3


def blob_images(scan, pixel=1, suffix=""):
    """Mean over each pixel of two Gaussian blobs, by the formula for the ray of a pixel, (projection, j, k).

    `pixel` is the length of a pixel in the units that the blobs are in.
    """
    axes = schema.scan_basis(scan)
    images = 0
    for blob in BLOBS:
        along_j = pixel_means(scan.sizes["j"], scan["j_offset" + suffix].values, axes.u @ blob, pixel)
        along_k = pixel_means(scan.sizes["k"], scan["k_offset" + suffix].values, axes.w @ blob, pixel)
        images = images + along_j[:, :, None] * along_k[:, None, :]
    return images


def pixel_means(size, offset, centre, pixel):
    middle = np.arange(size) + 0.5 + offset[:, None] - size / 2
    edges = pixel * np.stack([middle - 0.5, middle + 0.5]) - centre[:, None]
    low, high = erf(edges / (WIDTH * np.sqrt(2)))
    return (high - low) / pixel


def blob_scan(example_scan, j=17, k=14, lazy=False):
    """A scan that shows the blobs; no pixel is masked."""
    scan = example_scan(j=j, k=k, segments=2)
    images = blob_images(scan).astype(np.float32)
    scan["diode"] = scan["diode"].copy(data=images)
    scan["phase"] = scan["phase"].copy(data=blob_images(scan, suffix="_true").astype(np.float32))
    scan["weights"] = xr.ones_like(scan["weights"])
    return scan.chunk(projection=3) if lazy else scan


WINDOWS = [
    (slice(2, 9), None),
    (None, slice(-5, None)),
    (slice(1, 16), slice(3, 4)),
    (slice(None, -3), slice(2, -1)),
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("j", "k"), WINDOWS)
def test_cropped_images_are_what_the_geometry_says(example_scan, j, k, lazy):
    cropped = crop(blob_scan(example_scan, lazy=lazy), j=j, k=k)
    np.testing.assert_allclose(cropped["diode"].values, blob_images(cropped), atol=1e-6)
    np.testing.assert_allclose(cropped["phase"].values, blob_images(cropped, suffix="_true"), atol=1e-6)
    assert cropped["diode"].sizes["j"] == len(range(17)[j or slice(None)])
    assert (cropped["diode"].chunks is not None) == lazy


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(16, 12), (17, 14)])
def test_binned_images_are_what_the_geometry_says(example_scan, n, shape, lazy):
    scan = blob_scan(example_scan, *shape, lazy=lazy)
    binned = bin_scan(scan, n)
    assert (binned.sizes["j"], binned.sizes["k"]) == (shape[0] // n, shape[1] // n)
    np.testing.assert_allclose(binned["diode"].values, blob_images(binned, pixel=n), atol=1e-6)
    np.testing.assert_allclose(binned["phase"].values, blob_images(binned, n, "_true"), atol=1e-6)
    assert binned.attrs["volume_shape"] == [-(-size // n) for size in scan.attrs["volume_shape"]]
    assert binned.attrs["pixel_size"] == n * 2.5
    assert (binned["diode"].chunks is not None) == lazy
    schema.validate_scan(binned)


def test_a_bare_isel_moves_the_view(example_scan):
    moved = blob_scan(example_scan).isel(j=slice(2, 9))
    assert np.abs(moved["diode"].values - blob_images(moved)).max() > 0.1


@given(
    size=st.integers(1, 40),
    n=st.integers(1, 6),
    window=st.tuples(st.integers(0, 39), st.integers(1, 40)),
    offset=st.floats(-10, 10),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rays_are_kept(example_scan, size, n, window, offset):
    size, (start, length) = max(size, n), window
    scan = example_scan(projections=2, j=size, k=size, full=False)
    scan = scan.assign_coords(k_offset=("projection", [offset, 0.0]))
    start = min(start, size - 1)

    def rays(scan, pixel=1):
        return pixel * (np.arange(scan.sizes["k"]) + 0.5 + scan["k_offset"].values[0] - scan.sizes["k"] / 2)

    window = slice(start, start + length)
    np.testing.assert_allclose(rays(crop(scan, k=window)), rays(scan)[window], atol=1e-9)
    whole = size // n * n
    expected = rays(scan)[:whole].reshape(-1, n).mean(axis=1)
    np.testing.assert_allclose(rays(bin_scan(scan, n), pixel=n), expected, atol=1e-9)


def test_cropping_and_binning_commute(example_scan):
    scan = blob_scan(example_scan, 16, 12)
    one = bin_scan(crop(scan, j=slice(4, 12), k=slice(2, 8)), 2)
    other = crop(bin_scan(scan, 2), j=slice(2, 6), k=slice(1, 4))
    xr.testing.assert_allclose(one, other)


def test_masked_pixels_count_for_nothing(example_scan):
    scan = example_scan(j=4, k=4, segments=2)
    weights = np.ones((7, 4, 4), np.float32)
    weights[:, 0, 0] = 0  # one of four
    weights[:, 2:, 0] = 0  # two of four, on the same side
    weights[:, 2:, 2:] = 0  # all
    weights[:, 0, 3] = 0.5
    weights[:, :2, 2] = weights[:, 1, 3] = 0  # three of four
    scan["weights"] = scan["weights"].copy(data=weights)
    diode = scan["diode"].values
    diode[:, 0, 0] = 1e9
    binned = bin_scan(scan, 2)
    np.testing.assert_allclose(
        binned["diode"][:, 0, 0], (diode[:, 0, 1] + diode[:, 1, 0] + diode[:, 1, 1]) / 3, 1e-6
    )
    np.testing.assert_allclose(binned["diode"][:, 1, 0], diode[:, 2:, 1].mean(axis=1), 1e-6)
    np.testing.assert_allclose(binned["diode"][:, 1, 1], diode[:, 2:, 2:].mean(axis=(1, 2)), 1e-6)
    np.testing.assert_allclose(binned["data"][:, 1, 0], scan["data"].values[:, 2:, 1].mean(axis=1), 1e-6)
    np.testing.assert_array_equal(binned["weights"], np.broadcast_to([[0.75, 0], [0.5, 0]], (7, 2, 2)))
    for name in ("diode", "data", "weights", "phase"):
        assert binned[name].dtype == np.float32
        assert binned[name].dims == scan[name].dims
        assert binned[name].attrs == scan[name].attrs


def test_weights_of_segments_weigh_their_own(example_scan):
    scan = example_scan(j=2, k=2, segments=2)
    weights = np.ones((7, 2, 2, 2), np.float32)
    weights[..., 0, 0, 1] = 0
    scan["weights"] = (scan["data"].dims, weights)
    binned = bin_scan(scan, 2)
    data = scan["data"].values
    np.testing.assert_allclose(binned["data"][:, 0, 0, 0], data[..., 0].mean(axis=(1, 2)), 1e-6)
    np.testing.assert_allclose(
        binned["data"][:, 0, 0, 1], data[..., 1].reshape(7, 4)[:, 1:].mean(axis=1), 1e-6
    )
    np.testing.assert_allclose(binned["diode"][:, 0, 0], scan["diode"].values.mean(axis=(1, 2)), 1e-6)
    np.testing.assert_array_equal(binned["weights"][0, 0, 0], [1, 0.75])


def blob_volume(shape, voxel=1):
    """Mean over each voxel of a Gaussian blob."""
    profiles = [
        pixel_means(size, np.zeros(1), np.array([centre]), voxel)[0]
        for size, centre in zip(shape, BLOBS[0], strict=True)
    ]
    return np.einsum("x,y,z->xyz", *profiles)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_true_tomogram_keeps_its_place_and_absorbance(example_scan, n, lazy):
    scan = example_scan(j=24, k=25)
    scan["tomogram_true"] = scan["tomogram_true"].copy(data=blob_volume((24, 24, 25)).astype(np.float32))
    binned = bin_scan(scan.chunk(projection=2, x=5) if lazy else scan, n)
    volume = binned["tomogram_true"].values
    assert volume.shape == tuple(binned.attrs["volume_shape"])
    assert volume.dtype == np.float32
    expected = n * blob_volume(volume.shape, voxel=n)
    # A grid that lies half a voxel off the old one cuts voxels in two, and so blurs; half a voxel off its
    # right place it would be wrong by 0.13 of the largest value.
    cut = any((size * n - old) % 2 for size, old in zip(volume.shape, (24, 24, 25), strict=True))
    np.testing.assert_allclose(volume, expected, atol=(0.03 if cut else 1e-5) * expected.max())
    np.testing.assert_allclose(volume.sum() * n**2, scan["tomogram_true"].values.sum(), rtol=1e-5)


def test_lazy_scans_stay_lazy_and_give_the_same(example_scan):
    scan = example_scan(j=9, k=8, segments=2)
    lazy = bin_scan(crop(scan.chunk(projection=2), j=slice(1, 8)), 2)
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)
    assert lazy["data"].chunks[0] == (2, 2, 2, 1)
    assert [len(chunks) for chunks in lazy["data"].chunks[1:]] == [1, 1, 1]
    xr.testing.assert_allclose(lazy.compute(), bin_scan(crop(scan, j=slice(1, 8)), 2), rtol=1e-6)


def test_the_input_is_left_alone(example_scan):
    scan = example_scan()
    crop(scan, j=slice(1, 3))
    bin_scan(scan, 2)
    xr.testing.assert_identical(scan, example_scan())


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (slice(3, 3), r"j is slice\(3, 3, None\), which holds none of the 6 pixels"),
        (slice(9, 12), r"which holds none of the 6 pixels"),
        (slice(0, 4, 2), r"expected a slice without a step"),
        (slice(0.5, 3), r"expected a slice of whole numbers"),
        ((1, 3), r"j is \(1, 3\), expected a slice without a step"),
    ],
)
def test_bad_windows_are_one_line(example_scan, window, message):
    with pytest.raises(ScanError, match=message):
        crop(example_scan(), j=window)


@pytest.mark.parametrize("n", [0, -1, 6, 1.5, "2", True, None])
def test_bad_bins_are_one_line(example_scan, n):
    with pytest.raises(
        ScanError, match=r"n is .*, expected a whole number from 1 to 5, for a detector of 6 x 5"
    ):
        bin_scan(example_scan(), n)
