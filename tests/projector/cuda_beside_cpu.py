"""Differences between the CUDA kernels and the CPU's, as JSON: to be run where numba simulates a GPU, or has one."""

import json
import sys

import numpy as np
from scipy.spatial.transform import Rotation

from mumott_dask import Projector
from mumott_dask.projector import cuda_arrays, numpy_arrays

TO_LAB = {name: np.eye(3)[order] for name, order in {"x": [1, 0, 2], "y": [0, 1, 2], "z": [1, 2, 0]}.items()}
"""Permutations of the axes that make x, y and z the dominant one (rays go along y); pixels that are neighbours
along k lie along the second axis of a slice for x and y, and along the first for z."""


def scans(volume_shape, detector_shape):
    """A projector for each dominant axis, tilted, turned and shifted, some rays leaving the volume."""
    for axis, to_lab in TO_LAB.items():
        sign = np.diag([np.linalg.det(to_lab), 1, 1])
        turns = Rotation.from_euler("xz", [[0.3, 0.4], [-0.8, -0.6], [0.8, 0.2], [0, 0]]).as_matrix()
        rotation = turns @ sign @ to_lab
        yield (
            axis,
            Projector(rotation, [0.3, -1.7, 1.1, 0], [0.45, 2.5, -0.8, 0], volume_shape, detector_shape),
        )


def differences(send=lambda array: array, fetch=lambda array: array):
    """Largest difference relative to the largest value, by kernel, axis and number of channels."""
    random, found = np.random.default_rng(0), {}
    for shapes in (((7, 9, 6), (8, 5)), ((1, 5, 4), (3, 6))):
        for axis, A in scans(*shapes):
            for channels in ((), (3,), (8,)):
                volume = random.uniform(0.1, 1, (*A.volume_shape, *channels)).astype(np.float32)
                images = random.uniform(0.1, 1, (*A.shape, *channels)).astype(np.float32)
                pairs = {
                    "forward": (numpy_arrays.forward(A, volume), cuda_arrays.forward(A, send(volume))),
                    "adjoint": (numpy_arrays.adjoint(A, images), cuda_arrays.adjoint(A, send(images))),
                }
                if not channels:
                    given = volume, images, images + 1
                    expected = numpy_arrays.gradient(A, *given, 1)
                    made = cuda_arrays.gradient(A, *map(send, given), 1)
                    pairs["gradient"], pairs["loss"] = zip(expected, made, strict=True)
                    pairs["reproject"] = (
                        numpy_arrays.reproject(A, volume),
                        cuda_arrays.reproject(A, send(volume), (0, 0)),
                    )
                for name, (expected, made) in pairs.items():
                    key = f"{name} {axis} {channels} {shapes[0]}"
                    scale = max(float(np.abs(expected).max()), 1.0)
                    found[key] = float(np.abs(fetch(made) - expected).max()) / scale
    return found


if __name__ == "__main__":
    if "--gpu" in sys.argv:
        import cupy

        print(json.dumps(differences(cupy.asarray, cupy.asnumpy)))
    else:
        cuda_arrays.THREADS = (4, 2)  # in the simulator, each is a thread of Python
        cuda_arrays.CACHED = 1000  # bytes: a slice or a few at a time
        print(json.dumps(differences()))
