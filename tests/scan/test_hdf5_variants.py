"""Files drawn at random from every variant of mumott's HDF5 are read as they were meant."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mumott_dask import open_scan

INNER_NAMES = st.sampled_from(["inner_angle", "rotations"])
OUTER_NAMES = st.sampled_from(["outer_angle", "tilts"])
MATRIX_NAMES = st.sampled_from(["rotation_matrix", "rot_mat"])
J_NAMES = st.sampled_from(["j_offset", "offset_j"])
K_NAMES = st.sampled_from(["k_offset", "offset_k"])
UNIT_VECTORS = st.sampled_from([(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, 1, 0), (0.6, 0.0, 0.8), (0, -0.6, 0.8)])
SMALL = st.floats(-4, 4, width=32)


def write_file(path, tree):
    with h5py.File(path, "w") as file:
        for place, value in tree.items():
            file[place] = value
    return path


def as_number(draw, value):
    """One number, as files have it: a scalar, or an array of one."""
    return draw(st.sampled_from([np.float64(value), np.array([value]), np.array([[value]])]))


@st.composite
def axes(draw, tree, name, count, default):
    """Where axes may be: with each projection, at the root, or nowhere; and what then counts."""
    own = {i: draw(UNIT_VECTORS) for i in range(count) if draw(st.booleans())} if draw(st.booleans()) else {}
    root = draw(st.none() | UNIT_VECTORS)
    if root is not None:
        tree[name] = np.array(root, float)
    for i, axis in own.items():
        tree[f"projections/{i}/{name}"] = np.array(axis, float)
    rest = root if root is not None else own.get(0, default)
    return np.array([own.get(i, rest) for i in range(count)], float), bool(own) or root is not None


@st.composite
def turns(draw, tree, place, inner_axis, outer_axis):
    """One of the ways in which a projection's rotation may be given, and what it then is."""
    way = draw(st.sampled_from(["matrix", "both", "inner", "outer", "none", "matrix and angles"]))
    inner, outer = draw(SMALL), draw(SMALL)
    angles = {}
    if way in ("both", "inner", "matrix and angles"):
        angles["inner"] = inner
        tree[f"{place}/{draw(INNER_NAMES)}"] = as_number(draw, inner)
    if way in ("both", "outer", "matrix and angles"):
        angles["outer"] = outer
        tree[f"{place}/{draw(OUTER_NAMES)}"] = as_number(draw, outer)
    first, second = (Rotation.from_rotvec(angles.get("inner", 0) * inner_axis).as_matrix(),
                     Rotation.from_rotvec(angles.get("outer", 0) * outer_axis).as_matrix())  # fmt: skip
    meant = second @ first
    if "matrix" in way:
        meant = Rotation.from_rotvec([draw(SMALL), draw(SMALL), draw(SMALL)]).as_matrix()
        tree[f"{place}/{draw(MATRIX_NAMES)}"] = meant
    return meant, angles


@st.composite
def variants(draw):
    """A file as a tree of arrays, and the scan that it stands for (angles and axes apart)."""
    count = draw(st.integers(2, 12))
    ragged = draw(st.booleans())
    fixed = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    segments = draw(st.sampled_from([0, 0, 1, 3]))
    weight_depth = draw(st.sampled_from([0, 1, segments or 2]))
    has_weights = draw(st.sampled_from(["all", "some", "none"]))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.uint16, np.int32, ">f4"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))

    tree = {}
    inner_axis, has_inner = draw(axes(tree, "inner_axis", count, (0, 0, -1)))
    outer_axis, has_outer = draw(axes(tree, "outer_axis", count, (1, 0, 0)))
    images = []
    for i in draw(st.permutations(range(count))):
        place = f"projections/{i}"
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 4))) if ragged else fixed
        image = {"diode": (random.random(shape) * 1000).astype(dtype), "offsets": (0.0, 0.0), "i": i}
        if segments:
            image["data"] = random.random((*shape, segments)).astype(np.float32)
        if has_weights == "all" or (has_weights == "some" and draw(st.booleans())):
            image["weights"] = random.random((*shape, weight_depth) if weight_depth else shape)
        tree |= {f"{place}/{name}": image[name] for name in ("diode", "data", "weights") if name in image}
        if draw(st.booleans()):
            image["offsets"] = (draw(SMALL), draw(SMALL))
            tree[f"{place}/{draw(J_NAMES)}"] = as_number(draw, image["offsets"][0])
            tree[f"{place}/{draw(K_NAMES)}"] = as_number(draw, image["offsets"][1])
        image["rotation"], image["angles"] = draw(turns(tree, place, inner_axis[i], outer_axis[i]))
        images.append(image)
    images.sort(key=lambda image: image["i"])
    return tree, images, {"inner_axis": (inner_axis, has_inner), "outer_axis": (outer_axis, has_outer)}


def expected_stacks(images):
    """The slow, obvious padding, projection by projection."""
    j, k = np.max([image["diode"].shape for image in images], axis=0)
    data = next((image["data"].shape[2] for image in images if "data" in image), 0)
    depths = [image["weights"].shape[2:] for image in images if "weights" in image]
    depth = max((d for d in depths if d and d[0] > 1), default=())
    stacks = {
        "diode": np.zeros((len(images), j, k), np.float32),
        "weights": np.zeros((len(images), j, k, *depth), np.float32),
        "data": np.zeros((len(images), j, k, data), np.float32),
    }
    offsets = np.zeros((len(images), 2))
    for i, image in enumerate(images):
        rows, columns = image["diode"].shape
        stacks["diode"][i, :rows, :columns] = image["diode"]
        weights = image.get("weights", np.ones((rows, columns)))
        weights = weights if depth else weights.reshape(rows, columns)
        weights = weights[..., None] if depth and weights.ndim == 2 else weights
        stacks["weights"][i, :rows, :columns] = weights
        if data:
            stacks["data"][i, :rows, :columns] = image["data"]
        offsets[i] = np.array(image["offsets"]) + (np.array([j, k]) - [rows, columns]) / 2
    return stacks, offsets


@settings(max_examples=60, deadline=None)
@given(variants(), st.integers(1, 13))
def test_what_is_read_is_what_was_meant(variant, chunks):
    tree, images, axes = variant
    with tempfile.TemporaryDirectory() as folder:
        path = write_file(Path(folder) / "scan.h5", tree)
        scan = open_scan(path)
        lazy = open_scan(path, chunks=chunks)
        assert lazy["diode"].chunks[0][0] == min(chunks, len(images))
        xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), scan)

    stacks, offsets = expected_stacks(images)
    np.testing.assert_array_equal(scan["diode"], stacks["diode"])
    np.testing.assert_array_equal(scan["weights"], stacks["weights"])
    assert ("data" in scan) == (stacks["data"].size > 0)
    if "data" in scan:
        np.testing.assert_array_equal(scan["data"], stacks["data"])
    np.testing.assert_array_equal(np.stack([scan["j_offset"], scan["k_offset"]], 1), offsets)
    np.testing.assert_allclose(scan["rotation"], [image["rotation"] for image in images], atol=1e-12)

    any_angle = any(image["angles"] for image in images)
    for name, (meant, stored) in axes.items():
        assert (name in scan.coords) == (stored or any_angle)
        if name in scan.coords:
            np.testing.assert_array_equal(scan[name], meant)
    if "inner_angle" in scan.coords:
        np.testing.assert_array_equal(scan["inner_angle"], [i["angles"].get("inner", 0) for i in images])
        np.testing.assert_array_equal(scan["outer_angle"], [i["angles"].get("outer", 0) for i in images])
    else:
        assert not all(image["angles"] for image in images)
