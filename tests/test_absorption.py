"""Absorbance: the formula, what is masked, what is refused, the level of the air, and faulty pixels."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from mumott_dask import ScanError, ScanWarning, absorbance, make_scan, simulate
from mumott_dask.absorption import air_level, without_spikes

SHAPE = (12, 13, 11)


def scan_of(diode, **variables):
    scan = make_scan(np.asarray(diode, np.float32), np.linspace(0, 3, len(diode)))
    return scan.assign(variables)


def random_diode(seed=0, shape=SHAPE):
    """Readings that drift in flux, over four decades, and beyond the cut-offs."""
    random = np.random.default_rng(seed)
    return (10 ** random.uniform(-5, 0.01, shape) * random.uniform(50, 5000, (shape[0], 1, 1))).astype(
        np.float32
    )


@pytest.fixture
def scan():
    return scan_of(random_diode())


def by_hand(diode, level, low=1e-4, high=1.0):
    """Absorbance and mask, from the formula, pixel by pixel in float64."""
    transmittivity = np.asarray(diode, np.float64) / np.reshape(level, (-1, 1, 1))
    valid = (transmittivity >= low) & (transmittivity <= high)
    return -np.log10(np.minimum(np.maximum(transmittivity, low), high)), valid


def assert_is(result, expected, valid):
    assert result["absorbance"].dtype == result["mask"].dtype == np.float32
    assert result["absorbance"].dims == result["mask"].dims == ("projection", "j", "k")
    np.testing.assert_allclose(result["absorbance"], expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(result["mask"], valid)


@pytest.mark.parametrize("percentile", [99.9, 100, 50])
@pytest.mark.parametrize("cutoff", [(1e-4, 1.0), (1e-2, 0.7), (1e-4, 2.0)])
@pytest.mark.parametrize("per_projection", [True, False])
def test_the_formula(scan, percentile, cutoff, per_projection):
    diode = scan["diode"].values.astype(np.float64)
    level = np.percentile(diode, percentile, axis=(1, 2) if per_projection else None)
    expected, valid = by_hand(diode, np.broadcast_to(level, len(diode)), *cutoff)
    assert 0 < valid.sum() < valid.size
    assert_is(absorbance(scan, percentile, cutoff, per_projection), expected, valid)


def test_values_of_single_pixels():
    """1000 is the open beam; ten, a hundred and ten thousand times less; twice as much."""
    diode = np.full((10, 4, 3), 1000.0)
    diode[:, 0, 0], diode[:, 1, 1], diode[:, 2, 2], diode[:, 3, 0] = 100, 10, 0.01, 2000
    result = absorbance(scan_of(diode), percentile=50)
    for place, value, valid in [
        ((0, 0), 1, 1),
        ((1, 1), 2, 1),
        ((2, 2), 4, 0),
        ((3, 0), 0, 0),
        ((0, 2), 0, 1),
    ]:
        np.testing.assert_allclose(result["absorbance"][:, *place], value, atol=1e-6)
        np.testing.assert_array_equal(result["mask"][:, *place], valid)


def test_the_cut_offs_themselves_are_inside():
    diode = np.full((10, 4, 3), 1000.0)
    diode[:, 0, 0] = 125
    mask = absorbance(scan_of(diode), percentile=100, cutoff=(0.125, 1.0))["mask"]
    assert mask.all()
    assert not absorbance(scan_of(diode), percentile=100, cutoff=(0.126, 1.0))["mask"][:, 0, 0].any()


def test_the_flux_of_a_projection_cancels(scan):
    flux = np.random.default_rng(1).uniform(0.1, 10, (SHAPE[0], 1, 1)).astype(np.float32)
    brighter = absorbance(scan.assign(diode=scan["diode"] * flux))
    np.testing.assert_allclose(brighter["absorbance"], absorbance(scan)["absorbance"], atol=2e-6)
    whole = absorbance(scan.assign(diode=scan["diode"] * flux), per_projection=False)
    assert np.abs(whole["absorbance"] - absorbance(scan, per_projection=False)["absorbance"]).max() > 0.1


@pytest.mark.parametrize("each", [False, True], ids=["one image", "an image a projection"])
def test_the_pattern_of_the_detector_cancels(scan, each):
    """Gain and dark level of each pixel, brought in by the formula of the detector."""
    random = np.random.default_rng(2)
    shape = SHAPE if each else SHAPE[1:]
    gain, dark = random.uniform(0.5, 2, shape), random.uniform(5, 20, shape)
    beam = 1000.0
    clean = scan_of(np.clip(scan["diode"].values / scan["diode"].values.max(), 1e-3, 1) * beam)
    read = clean.assign(diode=(scan["diode"].dims, gain * clean["diode"].values + dark))
    result = absorbance(read, flat=gain * beam + dark, dark=dark)
    expected = absorbance(clean)
    np.testing.assert_allclose(result["absorbance"], expected["absorbance"], atol=1e-6)
    assert np.abs(absorbance(read)["absorbance"] - expected["absorbance"]).max() > 0.1


def test_a_dark_level_alone_is_subtracted(scan):
    dark = np.full(SHAPE[1:], 3.0)
    raised = scan.assign(diode=scan["diode"].astype(np.float64) + 3)
    np.testing.assert_allclose(
        absorbance(raised, dark=dark)["absorbance"], absorbance(scan)["absorbance"], atol=1e-6
    )


def test_a_known_open_beam_takes_the_percentile_s_place(scan):
    beam = np.linspace(2000, 6000, SHAPE[0])
    assert_is(absorbance(scan, open_beam=beam), *by_hand(scan["diode"], beam))


def test_pixels_of_weight_zero_are_masked_and_keep_their_absorbance(scan):
    weights = np.random.default_rng(3).integers(0, 2, SHAPE) * np.float32(0.5)
    weighted = absorbance(scan.assign(weights=(scan["weights"].dims, weights)))
    plain = absorbance(scan)
    np.testing.assert_array_equal(weighted["absorbance"], plain["absorbance"])
    np.testing.assert_array_equal(weighted["mask"], plain["mask"] * (weights > 0))


def test_a_pixel_is_masked_where_no_segment_is_left(scan):
    weights = np.ones((*SHAPE, 3), np.float32)
    weights[:, 2, :, 0] = 0  # the others are left
    weights[:, 5, 5, :] = 0
    weighted = scan.assign(weights=((*scan["weights"].dims, "segment"), weights))
    lost = absorbance(scan)["mask"] - absorbance(weighted)["mask"]
    assert lost[:, 5, 5].values.tolist() == absorbance(scan)["mask"][:, 5, 5].values.tolist()
    assert lost.sum() == lost[:, 5, 5].sum()


def test_a_scan_without_weights_has_a_mask(scan):
    xr.testing.assert_equal(absorbance(scan.drop_vars("weights")), absorbance(scan))


def test_the_input_is_not_changed(scan):
    before = scan.copy(deep=True)
    scan["diode"].values.flags.writeable = False
    flat, dark = np.full(SHAPE[1:], 10.0), np.full(SHAPE[1:], 1.0)
    kept = flat.copy(), dark.copy()
    absorbance(scan, flat=flat, dark=dark, open_beam=np.full(SHAPE[0], 1000.0))
    xr.testing.assert_identical(scan, before)
    np.testing.assert_array_equal((flat, dark), kept)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"per_projection": False, "percentile": 97.0},
        {"flat": np.full(SHAPE[1:], 2.0), "dark": np.full(SHAPE, 1e-3)},
        {"open_beam": np.full(SHAPE[0], 500.0)},
    ],
    ids=["default", "whole scan", "flat and dark", "open beam"],
)
@pytest.mark.parametrize("chunks", [1, 5, 12])
def test_dask_and_numpy_are_equal_and_dask_is_lazy(scan, arguments, chunks):
    chunked = absorbance(scan.chunk(projection=chunks), **arguments)
    assert chunked["absorbance"].chunksizes == scan.chunk(projection=chunks)["diode"].chunksizes
    assert chunked["mask"].chunks == chunked["absorbance"].chunks
    xr.testing.assert_identical(chunked.compute(), absorbance(scan, **arguments))


def spoilt(kind, projections):
    diode = random_diode(4, (20, 6, 5))
    diode[projections] = {"flat": 7, "zero": 0, "negative": -diode[projections]}[kind]
    return scan_of(diode).assign_coords(projection=100 + np.arange(20))


@pytest.mark.parametrize("chunks", [None, 3])
@pytest.mark.parametrize("per_projection", [True, False])
@pytest.mark.parametrize("kind", ["flat", "zero", "negative"])
def test_projections_with_nothing_in_them_are_masked_and_named(kind, per_projection, chunks):
    scan = spoilt(kind, [3, 11])
    line = r"2 of 20 projections hold nothing .*: 103, 111; masked"
    with pytest.warns(ScanWarning, match=line) as caught:
        result = absorbance(
            scan if chunks is None else scan.chunk(projection=chunks), per_projection=per_projection
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert np.isfinite(result["absorbance"]).all()
    good = np.delete(np.arange(20), [3, 11])
    assert not result["mask"][[3, 11]].any()
    expected = absorbance(scan.isel(projection=good), per_projection=per_projection)
    xr.testing.assert_identical(result.isel(projection=good).compute(), expected)


def test_more_than_a_tenth_of_them_is_an_error():
    with pytest.raises(
        ScanError, match=r"^3 of 20 projections hold nothing .*: 103, 104, 105; at most a tenth"
    ):
        absorbance(spoilt("zero", [3, 4, 5]))


@pytest.mark.parametrize("reading", [0.0, -1.0, np.nan])
def test_an_open_beam_without_light_is_an_empty_projection(scan, reading):
    beam = np.full(SHAPE[0], 1000.0)
    beam[7] = reading
    with pytest.warns(ScanWarning, match="1 of 12 projections hold nothing .*: 7"):
        result = absorbance(scan, open_beam=beam)
    assert not result["mask"][7].any()
    assert np.isfinite(result["absorbance"]).all()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"cutoff": (0, 1)}, r"cutoff is \(0, 1\), expected 0 < low < high"),
        ({"cutoff": (1.0, 1.0)}, r"cutoff is \(1.0, 1.0\), expected 0 < low < high"),
        ({"cutoff": (np.nan, 1)}, r"cutoff is \(nan, 1\), expected 0 < low < high"),
        ({"percentile": 0}, r"percentile is 0, expected more than 0 and at most 100"),
        ({"percentile": 100.1}, r"percentile is 100.1, expected more than 0 and at most 100"),
        ({"flat": np.ones((11, 13))}, r"flat has shape \(11, 13\), expected \(13, 11\) or \(12, 13, 11\)"),
        ({"dark": np.ones(11)}, r"dark has shape \(11,\), expected \(13, 11\) or \(12, 13, 11\)"),
        ({"flat": np.ones((13, 11)), "dark": np.ones((13, 11))}, r"the flat image is not above the dark one"),
        ({"open_beam": np.ones(11)}, r"open_beam has shape \(11,\), expected \(12,\)"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(scan, arguments, line):
    with pytest.raises(ScanError, match=line) as caught:
        absorbance(scan, **arguments)
    assert "\n" not in str(caught.value)


def test_a_scan_without_a_diode_is_refused(scan):
    with pytest.raises(ScanError, match=r"the scan has no 'diode', only \['weights'\]: absorbance needs one"):
        absorbance(scan.drop_vars("diode"))


def noisy(photons, absorbing=0.5, shape=(12, 48, 40), seed=0):
    """Air with an absorbing block in it, a third of the image, with Poisson noise."""
    expected = np.full(shape, float(photons))
    expected[:, shape[1] // 6 : -shape[1] // 6, shape[2] // 4 : -shape[2] // 4] *= 10**-absorbing
    return np.random.default_rng(seed).poisson(expected).astype(np.float64)


@pytest.mark.parametrize("photons", [200, 4000, 100_000])
def test_the_level_of_noisy_air_is_its_mean(photons):
    """Some 1,200 pixels of air: their mean is known to 0.03 of the noise. The percentile is off by three."""
    noise = np.sqrt(photons)
    error = (air_level(noisy(photons)) - photons) / noise
    assert np.abs(error).max() < 0.25
    percentile = (np.percentile(noisy(photons), 99.9, axis=(1, 2)) - photons) / noise
    assert percentile.min() > 2


def test_a_sample_that_absorbs_little_is_not_taken_for_air():
    """By 0.03 of absorbance, four times the noise of a pixel."""
    error = (air_level(noisy(4000, absorbing=0.03)) - 4000) / np.sqrt(4000)
    assert np.abs(error).max() < 0.3


def test_air_that_drifts_is_followed_projection_by_projection():
    flux = np.linspace(1, 3, 12)
    diode = noisy(10_000) * flux[:, None, None]
    np.testing.assert_allclose(air_level(diode), 10_000 * flux, rtol=3e-3)


def test_air_without_noise_is_exact():
    diode = np.full((2, 30, 30), 500.0)
    diode[:, 8:22, 8:22] = 50
    np.testing.assert_allclose(air_level(diode), 500, rtol=1e-12)


def test_where_there_is_no_air_the_most_transparent_part_is_taken():
    diode = np.broadcast_to(np.linspace(100, 200, 40)[:, None], (1, 40, 30))
    assert 185 < air_level(diode)[0] <= 200


@pytest.mark.parametrize("value", [0.0, 1e9, np.nan])
def test_masked_pixels_say_nothing_of_the_air(value):
    """A hot pixel that is smoothed into its neighbours would pass for a patch of brighter air."""
    diode, weights = noisy(4000), np.ones((12, 48, 40), np.float32)
    weights[:, 10::12, 5::10] = 0
    spoilt = np.where(weights > 0, diode, value)
    level = air_level(spoilt, weights)
    np.testing.assert_allclose(level, air_level(diode), rtol=2e-3)
    np.testing.assert_array_equal(level, air_level(np.where(weights > 0, diode, -7), weights))
    if value == 1e9:
        assert air_level(spoilt).min() > 5000


def test_a_projection_that_is_masked_as_a_whole_still_has_a_level():
    weights = np.ones((12, 48, 40), np.float32)
    weights[3] = 0
    np.testing.assert_array_equal(air_level(noisy(4000), weights), air_level(noisy(4000)))
    np.testing.assert_array_equal(air_level(noisy(4000), np.float32(1)), air_level(noisy(4000)))


@pytest.mark.parametrize("chunks", [1, 5, 12])
def test_the_level_of_chunked_air_is_equal(chunks):
    scan = scan_of(noisy(4000)).chunk(projection=chunks)
    np.testing.assert_array_equal(air_level(scan["diode"].data), air_level(noisy(4000)))
    weights = scan["weights"].data.rechunk({0: 7})
    np.testing.assert_array_equal(air_level(scan["diode"].data, weights), air_level(noisy(4000)))


def sharp(shape=(12, 48, 40)):
    """A scan without noise: blocks and struts of two pixels with ends, edges as sharp as can be, a slope."""
    absorbing = np.zeros(shape)
    absorbing[:, 10:38, 8:30] = 0.4
    absorbing[:, 14:30, 12:20] = 0.9
    absorbing[:, 20:22, 4:36] += 0.5
    absorbing[:, 5:44, 32:34] += 0.3
    absorbing += np.linspace(0, 0.3, shape[2])
    return 1000 * 10**-absorbing


def with_faults(diode, places, reading):
    """The same fault in every projection, moved along by one pixel each."""
    spoilt = diode.copy()
    for n, image in enumerate(spoilt):
        for j, k in places:
            image[j + n % 4, k + n % 3] = reading
    return spoilt


FAULTS = {
    "hot": ([(6, 4), (25, 18), (40, 35)], 5e4),
    "three times as bright as the air": ([(6, 4), (25, 18), (40, 35)], 1.2e4),
    "dead": ([(6, 4), (25, 18), (40, 35)], 0.0),
    "negative": ([(6, 4), (25, 18)], -300.0),
    "two side by side": ([(6, 4), (7, 4), (25, 18), (25, 19)], 5e4),
    "two cornerwise, dead": ([(6, 4), (7, 5), (25, 18), (26, 17)], 0.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_pixels_are_found_and_no_others(fault):
    """Of 23,040 pixels, less than one in two thousand that is sound goes with them."""
    places, reading = FAULTS[fault]
    diode = noisy(4000)
    spoilt = with_faults(diode, places, reading)
    faulty, found = spoilt != diode, without_spikes(spoilt) != spoilt
    assert faulty.sum() == len(diode) * len(places)
    assert found[faulty].all()
    assert (found & ~faulty).mean() < 5e-4
    assert np.abs(without_spikes(spoilt) / diode - 1)[faulty].max() < 0.7  # an edge may pass through


@pytest.mark.parametrize("photons", [300, 4000, 100_000])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_fault(photons, seed):
    """At most one pixel of 23,040."""
    diode = noisy(photons, seed=seed)
    assert (without_spikes(diode) != diode).sum() <= 1


def test_noise_is_no_fault_behind_a_sample_that_lets_few_photons_through():
    diode = noisy(300, absorbing=1.3)
    assert (without_spikes(diode) != diode).mean() < 1e-3


def test_sharp_edges_and_thin_walls_without_noise_are_no_faults():
    assert (without_spikes(sharp()) != sharp()).sum() == 0
    bone = simulate((40, 34), tilts=2, rotations=6, photons=None, absorbance=1.2)["diode"].values
    assert (without_spikes(bone) != bone).mean() < 1e-3  # walls of half a pixel have ends


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint16])
def test_readings_keep_their_type_and_the_input_its_values(kind):
    diode = with_faults(noisy(4000), [(6, 4)], 5e4).astype(kind)
    kept = diode.copy()
    diode.flags.writeable = False
    found = without_spikes(diode)
    assert found.dtype == kind
    np.testing.assert_array_equal(diode, kept)
    assert (found != diode).any()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_the_readings_does_not_matter(scale):
    diode = with_faults(noisy(4000), [(6, 4), (25, 18)], 5e4)
    found, scaled = without_spikes(diode) != diode, without_spikes(diode * scale) != diode * scale
    np.testing.assert_array_equal(found, scaled)


@pytest.mark.parametrize("chunks", [1, 5, 12])
def test_spikes_are_found_alike_in_chunks(chunks):
    diode = with_faults(noisy(4000), [(6, 4), (25, 18)], 5e4)
    chunked = da.from_array(diode, chunks=(chunks, 16, 40))
    found = without_spikes(chunked)
    assert isinstance(found, da.Array)
    np.testing.assert_array_equal(found.compute(), without_spikes(diode))
