"""Pictures: what is drawn where, in which colours, with which labels."""

import subprocess
import sys

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot
from matplotlib.colors import to_hex

from mumott_dask import geometry, plot
from mumott_dask.errors import ScanError
from mumott_dask.scan import make_scan
from mumott_dask.scan.schema import scan_basis
from mumott_dask.simulation import simulate


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def scan():
    return simulate((24, 20), tilts=2, rotations=9, oversampling=1, extent=0.6, jumps=2, photons=None)


@pytest.fixture(scope="module")
def alignment(scan):
    """True offsets, the sample moved, and one projection left out."""
    dj, dk = geometry.gauge_offsets((1.5, -2.0, 0.7), scan_basis(scan))
    count = scan.sizes["projection"]
    found = xr.Dataset(
        {
            "j_offset": ("projection", scan["j_offset_true"].values + dj),
            "k_offset": ("projection", scan["k_offset_true"].values + dk),
            "j_offset_std": ("projection", np.full(count, 0.1)),
        },
        coords={"projection": np.arange(count)},
    )
    return found.drop_sel(projection=4)


def points(ax):
    """Markers and continuous lines of an axes, by label."""
    return {line.get_label(): line for line in ax.get_lines()} | {
        bars.get_label(): bars.lines[0] for bars in ax.containers
    }


def test_offsets_show_what_was_found_and_the_truth_in_its_gauge(scan, alignment):
    ax = plot.offsets(alignment, scan)
    drawn = points(ax)
    for axis, colour in (("j", "#0072b2"), ("k", "#d55e00")):
        found, true = drawn[f"{axis}, found"], drawn[f"{axis}, true"]
        np.testing.assert_array_equal(found.get_xdata(), alignment["projection"])
        np.testing.assert_array_equal(found.get_ydata(), alignment[f"{axis}_offset"])
        np.testing.assert_allclose(true.get_ydata(), found.get_ydata(), atol=1e-9)
        assert to_hex(found.get_color()) == to_hex(true.get_color()) == colour
    assert [len(bars.lines[2]) for bars in ax.containers] == [1, 0]  # j has error bars, k has none
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("projection", "offset (pixel)")
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["j, found", "j, true", "k, found", "k, true"]


def test_tilts_are_marked_where_they_change(scan, alignment):
    ax = plot.offsets(alignment, scan)
    upright = [line for line in ax.get_lines() if len(set(line.get_xdata())) == 1]
    assert [line.get_xdata()[0] for line in upright] == [8.5]


def test_offsets_of_a_scan_without_truth_are_drawn_alone(scan):
    plain = scan.drop_vars(["j_offset_true", "k_offset_true"]).assign_coords(
        j_offset=("projection", np.arange(18.0))
    )
    drawn = points(plot.offsets(plain))
    np.testing.assert_array_equal(drawn["j"].get_ydata(), np.arange(18.0))
    assert not any("true" in str(name) for name in drawn)


def test_offsets_against_another_alignment(scan, alignment):
    other = alignment.assign(j_offset=alignment["j_offset"] + 0.25 * (-1.0) ** alignment["projection"])
    drawn = points(plot.offsets(alignment, scan, reference=other))
    away = drawn["j, reference"].get_ydata() - drawn["j, found"].get_ydata()
    assert np.abs(away).max() == pytest.approx(0.25, abs=0.1)
    with pytest.raises(ScanError, match="a reference is given without the scan"):
        plot.offsets(alignment, reference=other)
    with pytest.raises(ScanError, match="the scan has no projection 9"):
        plot.offsets(alignment, scan.isel(projection=slice(9)))
    assert len(pyplot.get_fignums()) == 1  # an error leaves no empty figure behind


def test_comparison_shows_the_differences_and_says_their_rms():
    difference = np.linspace(-0.02, 0.02, 7)
    compared = xr.Dataset(
        {"j_difference": ("projection", difference), "k_difference": ("projection", -difference)},
        coords={"projection": np.arange(7) * 2},
        attrs={"rms": 0.0123, "largest": 0.02, "gauge": [0.0, 0.0, 0.0]},
    )
    ax = plot.comparison(compared)
    drawn = points(ax)
    np.testing.assert_array_equal(drawn["j"].get_xdata(), np.arange(7) * 2)
    np.testing.assert_array_equal(drawn["j"].get_ydata(), difference)
    np.testing.assert_array_equal(drawn["k"].get_ydata(), -difference)
    assert ax.get_title(loc="left") == "RMS 0.012 pixel, largest 0.02 pixel"
    assert ax.get_ylabel() == "difference of offsets (pixel)"


@pytest.mark.parametrize(("voxel_size", "unit", "half"), [(None, "voxel", 4.0), (2.5, "µm", 10.0)])
def test_slices_go_through_the_centre_on_one_scale(voxel_size, unit, half):
    values = np.random.default_rng(0).random((8, 6, 5)).astype(np.float32)
    attrs = {} if voxel_size is None else {"voxel_size": voxel_size}
    axes = plot.slices(xr.DataArray(values, dims=("x", "y", "z"), attrs=attrs))
    images = [ax.get_images()[0] for ax in axes]
    for image, expected in zip(images, (values[:, :, 2].T, values[:, 3].T, values[4].T), strict=True):
        np.testing.assert_array_equal(image.get_array(), expected)
        assert image.get_cmap().name == "cet_gouldian"
        assert image.origin == "lower"
    assert len({image.get_clim() for image in images}) == 1
    assert images[0].get_extent()[:2] == [-half, half]
    assert [ax.get_xlabel() for ax in axes] == [f"{name} ({unit})" for name in "xxy"]
    assert [ax.get_ylabel() for ax in axes] == [f"{name} ({unit})" for name in "yzz"]
    assert axes[0].figure.axes[-1].get_ylabel() == "absorbance per voxel"


def test_slices_take_dask_arrays_and_limits():
    tomogram = xr.DataArray(np.ones((4, 4, 4)), dims=("x", "y", "z"))
    axes = plot.slices(tomogram.chunk(), limits=(0, 2))
    assert axes[2].get_images()[0].get_clim() == (0, 2)
    np.testing.assert_array_equal(axes[2].get_images()[0].get_array(), 1)
    with pytest.raises(ScanError, match="expected \\('x', 'y', 'z'\\)"):
        plot.slices(tomogram.isel(z=0))


def test_a_sinogram_is_a_row_of_absorbance():
    still = simulate((24, 20), 1, 4, None, oversampling=1, extent=0.6, jumps=0, jitter=0, drift=0)
    ax = plot.sinogram(still)
    image = ax.get_images()[0]
    diode = still["diode"].values.astype(np.float64)
    expected = -np.log10(np.clip(diode / np.percentile(diode, 99.9, axis=(1, 2))[:, None, None], 1e-4, 1))
    np.testing.assert_allclose(image.get_array(), expected[:, :, 10], atol=1e-5)
    assert image.get_cmap().name == "cet_gouldian"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("j (pixel)", "projection", "k = 10")
    assert ax.figure.axes[-1].get_ylabel() == "absorbance"


def test_offsets_put_the_rows_of_a_sinogram_in_place(scan):
    # Content that the true offsets moved away is back where a scan without offsets has it.
    still = simulate((24, 20), 2, 9, None, oversampling=1, extent=0.6, jumps=0, jitter=0, drift=0)
    offsets = {f"{axis}_offset": scan[f"{axis}_offset_true"] for axis in "jk"}
    expected, moved, aligned = (
        plot.sinogram(s).get_images()[0].get_array()
        for s in (still, scan, scan.assign_coords(offsets).chunk(projection=5))
    )
    error = [np.sqrt(np.mean((image - expected) ** 2)) for image in (moved, aligned)]
    assert error[1] < 0.25 * error[0]


def test_a_sinogram_runs_across_the_axis_of_rotation():
    images = np.random.default_rng(1).random((6, 8, 7))
    about_j = make_scan(
        images, np.arange(6) / 2, inner_axis=(1, 0, 0), outer_axis=(0, 0, 1), signal="additive", name="phase"
    )
    ax = plot.sinogram(about_j, row=2)
    np.testing.assert_allclose(ax.get_images()[0].get_array(), images[:, 2], rtol=1e-6)
    assert (ax.get_xlabel(), ax.get_title()) == ("k (pixel)", "j = 2")
    assert ax.figure.axes[-1].get_ylabel() == "phase"
    with pytest.raises(ScanError, match="row is 8, expected 0 to 7"):
        plot.sinogram(about_j, row=8)
    stack = plot.sinogram(xr.DataArray(images, dims=("projection", "j", "k"), name="stack"))
    np.testing.assert_array_equal(stack.get_images()[0].get_array(), images[:, :, 3])


def test_axes_that_are_given_are_drawn_on_and_no_figure_is_made(scan, alignment):
    figure, axes = pyplot.subplots(2, 3)
    compared = xr.Dataset(
        {f"{axis}_difference": ("projection", np.zeros(3)) for axis in "jk"},
        coords={"projection": np.arange(3)},
        attrs={"rms": 0.0, "largest": 0.0},
    )
    assert plot.offsets(alignment, scan, ax=axes[0, 0]) is axes[0, 0]
    assert plot.comparison(compared, ax=axes[0, 1]) is axes[0, 1]
    assert plot.sinogram(scan, axes[0, 2]) is axes[0, 2]
    assert list(plot.slices(scan["tomogram_true"], axes[1])) == list(axes[1])
    assert pyplot.get_fignums() == [figure.number]
    figure.canvas.draw()


def test_the_room_does_not_load_matplotlib():
    check = "import sys, mumott_dask.plot; sys.exit('matplotlib' in sys.modules or 'colorcet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
