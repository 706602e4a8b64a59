"""Small simulated scans, in files of both kinds, and manifests over them."""

import h5py
import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.campaign import read_manifest

BROKEN = (
    *("truncated.h5", "no_angles.h5", "nan.h5", "empty_projections.h5"),
    *("other_shape.h5", "no_hdf5.h5", "no_projections.h5", "gone.h5"),
)


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    """A folder with three scans, a.h5, b.h5 and c.zarr, of 24 projections of 24 x 20 pixels."""
    folder = tmp_path_factory.mktemp("scans")
    for seed, name in enumerate(("a.h5", "b.h5", "c.zarr")):
        scan = md.simulate((24, 20), tilts=2, rotations=12, jitter=0.5, jumps=1, drift=0.3, seed=seed)
        md.write_scan(scan, folder / name)
    return folder


@pytest.fixture(scope="session")
def broken(scans):
    """Paths of scans that are broken, each in a way of its own; at the last there is nothing."""
    folder = scans / "broken"
    folder.mkdir()
    whole = (scans / "a.h5").read_bytes()
    for name in BROKEN[:-1]:
        (folder / name).write_bytes(whole)
    (folder / "truncated.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "no_hdf5.h5").write_text("nothing")
    with h5py.File(folder / "no_angles.h5", "r+") as file:
        for name in ("rotation_matrix", "inner_angle", "outer_angle"):
            file["projections/3"].pop(name, None)
        file["projections/3/rotation_matrix"] = np.zeros((2, 2))
    with h5py.File(folder / "nan.h5", "r+") as file:
        file["projections/5/diode"][3, 4] = np.nan
    with h5py.File(folder / "empty_projections.h5", "r+") as file:
        for n in range(12):
            file[f"projections/{n}/diode"][...] = 0
    with h5py.File(folder / "other_shape.h5", "r+") as file:
        del file["projections/2/diode"]
        file["projections/2/diode"] = np.ones((24, 20, 2))
    with h5py.File(folder / "no_projections.h5", "r+") as file:
        del file["projections"]
    return [folder / name for name in BROKEN]


@pytest.fixture
def manifest(tmp_path, scans):
    """Write a manifest and read it; ``SCANS`` in it stands for the folder of the scans."""

    def written(text):
        path = tmp_path / "campaign.yaml"
        path.write_text(text.replace("SCANS", str(scans)))
        return read_manifest(path)

    return written
