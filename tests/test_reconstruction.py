"""SIRT weights and MITRA against a slow version in plain NumPy, and the laws that reconstruction keeps."""

from itertools import islice

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from mumott_dask import Projector, ScanError, arrays, make_scan, reconstruct, write_scan
from mumott_dask.geometry import rotations_from_angles
from mumott_dask.measured import signal_and_mask
from mumott_dask.reconstruction import iterated, mitra_steps, sirt_weights

INNER, OUTER = (0, 0, -1), (1, 0, 0)
COUNT, DETECTOR, VOLUME = 14, (12, 9), (10, 10, 8)
CHUNKINGS = (1, 5, (9, 2, 3), 14)

turns = np.tile(np.linspace(0.1, 0.1 + np.pi, 7, endpoint=False), 2)
tilts = np.repeat([0.0, 0.5], 7)


@pytest.fixture(scope="module")
def projector():
    """Two tilts, scattered offsets, and one projection that sees half of the sample."""
    j, k = np.random.default_rng(0).normal(0, 0.6, (2, COUNT))
    j[5] = 6.4
    return Projector(rotations_from_angles(turns, tilts, INNER, OUTER), j, k, VOLUME, DETECTOR)


@pytest.fixture(scope="module")
def sample():
    """Smooth blobs within the sphere that all views see."""
    place = np.meshgrid(*((np.arange(n) - (n - 1) / 2) for n in VOLUME), indexing="ij")
    inside = sum(c**2 for c in place) < 3.2**2
    values = gaussian_filter(np.random.default_rng(1).random(VOLUME), 1.0) * inside
    return (0.3 * values).astype(np.float32)


@pytest.fixture(scope="module")
def scan(projector, sample):
    """The projections as they are, so that nothing but the solver stands between them and the sample."""
    made = make_scan(
        projector.forward(sample), turns, tilts=tilts, signal="additive", name="density", volume_shape=VOLUME,
        j_offset=projector.j_offset, k_offset=projector.k_offset, pixel_size=2.5,
    )  # fmt: skip
    weights = np.random.default_rng(2).integers(0, 5, made["weights"].shape) > 0
    return made.assign(weights=(made["weights"].dims, weights.astype(np.float32)))


class Matrices:
    """Forward and adjoint as matrices of float64, one column a voxel or a pixel."""

    def __init__(self, projector):
        voxels, pixels = np.prod(projector.volume_shape), np.prod(projector.shape)
        unit = np.eye(voxels, dtype=np.float32).reshape(*projector.volume_shape, voxels)
        self.forward = projector.forward(unit).reshape(pixels, voxels).astype(np.float64)
        unit = np.eye(pixels, dtype=np.float32).reshape(*projector.shape, pixels)
        self.adjoint = projector.adjoint(unit).reshape(voxels, pixels).astype(np.float64)

    def weights(self):
        """1 / A(1) and 1 / A.T(1), 0 where the sum is under a tenth."""
        sums = self.forward.sum(axis=1), self.adjoint.sum(axis=1)
        return [np.array([1 / s if s >= 0.1 else 0.0 for s in total]) for total in sums]


@pytest.fixture(scope="module")
def matrices(projector):
    return Matrices(projector)


def mitra_by_hand(matrices, data, mask, iterations, nesterov_weight=0.95, nonnegative=True, start=0.0):
    """Tomogram and losses, line by line as the method is published."""
    rays, voxels = matrices.weights()
    data, mask = data.ravel().astype(np.float64), mask.ravel()
    x = np.zeros(len(voxels)) + np.ravel(start)
    p = np.zeros(len(voxels))
    losses = []
    for _ in range(iterations):
        residual = matrices.forward @ (x - p) - data
        losses.append(np.sum(rays * mask * residual**2) / 2)
        g = voxels * (matrices.adjoint @ (rays * mask * residual))
        p = p + g
        x = x - p
        p = p * nesterov_weight
        if nonnegative:
            x = np.maximum(x, 0)
    return x.reshape(VOLUME), np.array(losses)


def assert_close(found, expected, within=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * np.abs(expected).max())


def test_sirt_weights_are_the_reciprocal_of_what_is_seen(projector, matrices):
    weights, (rays, voxels) = sirt_weights(projector), matrices.weights()
    assert weights.rays.dtype == weights.voxels.dtype == np.float32
    assert 0 < np.count_nonzero(rays) < rays.size
    assert np.count_nonzero((matrices.forward.sum(axis=1) > 0) & (rays == 0))  # a corner of a voxel
    assert_close(weights.rays.ravel(), rays)
    assert_close(weights.voxels.ravel(), voxels)


def test_sirt_weights_are_zero_where_too_little_is_seen(projector, matrices):
    weights = sirt_weights(projector, smallest_sums=(3.0, 10.0))
    seen_by_rays, seen_by_voxels = matrices.forward.sum(axis=1), matrices.adjoint.sum(axis=1)
    for found, seen, least in ((weights.rays, seen_by_rays, 3.0), (weights.voxels, seen_by_voxels, 10.0)):
        clear = np.abs(seen - least) > 1e-4
        assert 0 < (found == 0).sum() < found.size
        np.testing.assert_array_equal((found.ravel() > 0)[clear], (seen > least)[clear])


def test_sirt_weights_of_a_view_along_an_axis():
    """Five voxels on each way; each voxel seen by both projections, but those beyond the detector."""
    A = Projector(np.stack([np.eye(3)] * 2), [0.0, 0.0], [0.0, 0.0], (4, 5, 6), (6, 4))
    weights = sirt_weights(A)
    np.testing.assert_allclose(weights.rays[:, 1:5], 1 / 5)
    assert not weights.rays[:, [0, 5]].any()
    np.testing.assert_allclose(weights.voxels[:, :, 1:5], 1 / 2)
    assert not weights.voxels[:, :, [0, 5]].any()


@pytest.mark.parametrize("chunks", [(1,) * 14, (9, 2, 3)], ids=str)
def test_sirt_weights_in_chunks_are_equal(projector, chunks):
    expected, weights = sirt_weights(projector), sirt_weights(projector, chunks)
    assert weights.rays.chunks[0] == chunks
    assert weights.voxels.chunks == tuple((side,) for side in VOLUME)
    assert_close(weights.rays.compute(), expected.rays, 1e-6)
    assert_close(weights.voxels.compute(), expected.voxels, 1e-6)


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("nesterov_weight", [0.95, 0.0, 0.6])
@pytest.mark.parametrize("iterations", [1, 2, 25])
def test_mitra_is_what_it_is_by_hand(scan, matrices, iterations, nesterov_weight, nonnegative):
    """On data that no sample has, so that all of the method is at work; with a start of its own."""
    random = np.random.default_rng(3)
    noise = random.normal(0, 0.3, scan["density"].shape).astype(np.float32)
    start = xr.DataArray(random.normal(0, 0.05, VOLUME).astype(np.float32), dims=("x", "y", "z"))
    noisy, losses = scan.assign(density=scan["density"] + noise).assign_attrs(scan.attrs), []
    noisy["density"].attrs["kind"] = "additive"
    found = reconstruct(
        noisy, iterations, nesterov_weight=nesterov_weight, nonnegative=nonnegative, start=start,
        watch=lambda number, most, loss: losses.append(loss),
    )  # fmt: skip
    expected, expected_losses = mitra_by_hand(
        matrices, noisy["density"].values, scan["weights"].values, iterations, nesterov_weight, nonnegative,
        start.values,
    )  # fmt: skip
    assert_close(found, expected)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)


def test_it_finds_the_sample(scan, sample):
    found = reconstruct(scan, iterations=300)
    assert np.abs(found - sample).max() < 0.02 * sample.max()


def test_what_it_hands_out_is_labelled(scan):
    found = reconstruct(scan, iterations=1)
    assert found.name == "tomogram"
    assert found.dims == ("x", "y", "z")
    assert found.shape == VOLUME
    assert found.dtype == np.float32
    assert found.attrs["units"] == "arbitrary per voxel"
    assert found.attrs["long_name"] == "density"
    assert found.attrs["voxel_size"] == 2.5


@pytest.mark.parametrize("nonnegative", [True, False])
def test_doubling_the_data_doubles_the_tomogram(scan, nonnegative):
    """To the last bit: nothing in the method has a scale of its own."""
    doubled = scan.assign(density=scan["density"].copy(data=2 * scan["density"].values))
    once, twice = (reconstruct(s, iterations=10, nonnegative=nonnegative) for s in (scan, doubled))
    np.testing.assert_array_equal(twice, 2 * once)


def test_adding_data_adds_tomograms_where_they_may_be_negative(scan):
    random = np.random.default_rng(4)
    other = scan["density"].copy(data=random.normal(size=scan["density"].shape).astype(np.float32))
    parts = [
        reconstruct(scan.assign(density=data), iterations=10, nonnegative=False)
        for data in (scan["density"], other, (scan["density"] + other).assign_attrs(other.attrs))
    ]
    assert_close(parts[0] + parts[1], parts[2])


def test_nothing_is_negative_unless_it_may_be(scan):
    noise = np.random.default_rng(5).normal(0, 0.5, scan["density"].shape).astype(np.float32)
    noisy = scan.assign(density=scan["density"].copy(data=scan["density"].values + noise))
    assert reconstruct(noisy, iterations=8).min() == 0
    assert reconstruct(noisy, iterations=8, nonnegative=False).min() < -0.01


def losses_of(scan, iterations, **settings):
    seen = []
    reconstruct(scan, iterations, watch=lambda *record: seen.append(record), **settings)
    return seen


def test_a_watcher_sees_every_iteration(scan):
    seen = losses_of(scan, 6)
    assert [record[:2] for record in seen] == [(n, 6) for n in range(1, 7)]
    losses = [loss for *_, loss in seen]
    data, mask = scan["density"].values.astype(np.float64), scan["weights"].values
    first = np.sum(sirt_weights(Projector.from_scan(scan)).rays * mask * data**2) / 2
    assert losses[0] == pytest.approx(first, rel=1e-5)
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.02])
def test_it_stops_where_an_iteration_gains_less_than_the_tolerance(scan, tolerance):
    losses = np.array([loss for *_, loss in losses_of(scan, 60)])
    gains = 1 - losses[1:] / losses[:-1]
    stop = 2 + int(np.argmax(gains < tolerance))
    assert 2 < stop < 60
    assert len(losses_of(scan, 60, tolerance=tolerance)) == stop
    assert len(losses_of(scan, 2, tolerance=tolerance)) == 2


def test_going_on_from_a_tomogram(scan):
    """Without momentum the tomogram is all that an iteration leaves to the next."""
    first = reconstruct(scan, iterations=4, nesterov_weight=0)
    kept = first.copy(deep=True)
    on = reconstruct(scan, iterations=6, nesterov_weight=0, start=first)
    np.testing.assert_array_equal(on, reconstruct(scan, iterations=10, nesterov_weight=0))
    xr.testing.assert_identical(first, kept)


def test_a_sample_that_explains_the_data_stays(scan, sample):
    start = xr.DataArray(sample, dims=("x", "y", "z"))
    assert_close(reconstruct(scan, iterations=5, start=start), sample)


def test_masked_pixels_may_hold_anything(scan):
    spoilt = scan["density"].values.copy()
    spoilt[scan["weights"].values == 0] = 1e6
    masked = scan.assign(density=scan["density"].copy(data=spoilt))
    xr.testing.assert_identical(reconstruct(masked, iterations=5), reconstruct(scan, iterations=5))
    unmasked = masked.assign(weights=xr.ones_like(scan["weights"]))
    assert np.abs(reconstruct(unmasked, iterations=5) - reconstruct(scan, iterations=5)).max() > 1


def test_pixels_that_are_no_numbers_are_masked(scan):
    spoilt = scan["density"].values.copy()
    spoilt[scan["weights"].values == 0] = np.nan
    lost = scan.assign(density=scan["density"].copy(data=spoilt), weights=xr.ones_like(scan["weights"]))
    data, mask = signal_and_mask(lost)
    assert np.isfinite(data).all()
    np.testing.assert_array_equal(mask, scan["weights"])
    np.testing.assert_array_equal(reconstruct(lost, iterations=5), reconstruct(scan, iterations=5))


def transmitted(scan, flux):
    """The same sample seen by its shadow, with a margin of air about it."""
    padded = np.pad(scan["density"].values, ((0, 0), (3, 3), (3, 3)))
    diode = flux[:, None, None] * 10 ** -padded.astype(np.float64)
    return make_scan(
        diode, turns, tilts=tilts, volume_shape=VOLUME, j_offset=scan["j_offset"], k_offset=scan["k_offset"]
    )


def test_a_shadow_is_reconstructed_by_its_absorbance_whatever_the_flux(scan, projector):
    flux = np.random.default_rng(6).uniform(500, 2000, COUNT)
    found = reconstruct(transmitted(scan, flux), iterations=10)
    padded = np.pad(scan["density"].values, ((0, 0), (3, 3), (3, 3)))
    wide = Projector(projector.rotation, projector.j_offset, projector.k_offset, VOLUME, padded.shape[1:])
    weights = sirt_weights(wide)
    *_, expected = islice(mitra_steps(wide, padded, weights.rays, weights.voxels), 10)
    assert_close(found, expected.tomogram, 1e-3)


@pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)
@pytest.mark.parametrize("kind", ["additive", "transmission"])
def test_dask_and_numpy_agree(scan, kind, chunks):
    scan = scan if kind == "additive" else transmitted(scan, np.linspace(500, 2000, COUNT))
    found = reconstruct(scan.chunk(projection=chunks), iterations=10)
    assert isinstance(found.data, np.ndarray)
    assert_close(found, reconstruct(scan, iterations=10), 1e-6)


@pytest.mark.parametrize("chunk", [None, 5])
def test_channels_are_solved_side_by_side(scan, projector, chunk):
    data, mask = signal_and_mask(scan if chunk is None else scan.chunk(projection=chunk), "density")
    weights = sirt_weights(projector, arrays.chunk_lengths(data), mask)
    alone = iterated(mitra_steps(projector, data, *weights), 4).tomogram
    stacked = data[..., np.newaxis] * np.float32([1, 0.5, 2])
    rays = weights.rays[..., np.newaxis] + 0 * stacked
    together = iterated(mitra_steps(projector, stacked, rays, weights.voxels[..., np.newaxis]), 4).tomogram
    np.testing.assert_allclose(together, alone[..., np.newaxis] * [1, 0.5, 2], atol=1e-6)


def test_a_scan_is_found_by_its_path_and_not_changed(scan, tmp_path):
    before = scan.copy(deep=True)
    write_scan(scan, tmp_path / "scan.zarr")
    found = reconstruct(str(tmp_path / "scan.zarr"), iterations=3)
    np.testing.assert_array_equal(found, reconstruct(scan, iterations=3))
    xr.testing.assert_identical(scan, before)


def test_a_signal_is_chosen_by_its_name(scan):
    both = scan.assign(other=scan["density"].copy(data=3 * scan["density"].values))
    found = reconstruct(both, iterations=3, variable="other")
    assert_close(found, 3 * reconstruct(scan, iterations=3), 1e-6)


def test_a_shadow_may_have_any_name(scan):
    shadow = transmitted(scan, np.full(COUNT, 1000.0))
    both = shadow.rename(diode="camera").assign(diode=shadow["diode"][::-1].drop_vars("projection"))
    found = reconstruct(both, iterations=3, variable="camera")
    np.testing.assert_array_equal(found, reconstruct(shadow, iterations=3))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"iterations": 0}, r"iterations is 0, expected at least 1"),
        (
            {"start": xr.DataArray(np.zeros((10, 10, 9)))},
            r"start has shape \(10, 10, 9\), expected .*\(10, 10, 8\)",
        ),
        ({"variable": "phase"}, r"the scan has no signal 'phase', it has 'density'"),
    ],
)
def test_what_makes_no_sense_is_refused(scan, arguments, line):
    with pytest.raises(ScanError, match=line):
        reconstruct(scan, **arguments)


def test_a_scan_with_several_signals_needs_a_choice(scan):
    with pytest.raises(ScanError, match="say which with variable="):
        reconstruct(scan.assign(other=scan["density"]))


@pytest.mark.parametrize("path", ["nowhere.h5", "nowhere.zarr"])
def test_a_path_that_leads_nowhere(path):
    with pytest.raises(ScanError, match="nowhere"):
        reconstruct(path)
