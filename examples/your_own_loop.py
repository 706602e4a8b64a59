"""Your own loop with the projector
================================

The projector is all that a reconstruction needs: here, SIRT with a penalty on differences between
neighbouring voxels (total variation, smoothed), which is not in the package. A few hundred photons a pixel
are few, so that the plain reconstruction is noisy.
"""

import matplotlib.pyplot as plt
import numpy as np

from mumott_dask import Projector, absorbance, reconstruct, simulate
from mumott_dask.reconstruction import sirt_weights

scan = simulate(shape=(37, 31), tilts=2, rotations=25, jitter=0, drift=0, jumps=0, photons=200)
A = Projector.from_scan(scan)
measured = absorbance(scan)
data, mask = measured["absorbance"].values, measured["mask"].values
weights = sirt_weights(A, mask=mask)


def roughness(x, smallest=1e-3):
    """Gradient of the total variation of a tomogram."""
    steps = np.gradient(x)
    size = np.sqrt(sum(step**2 for step in steps) + smallest**2)
    return -sum(np.gradient(step / size, axis=axis) for axis, step in enumerate(steps))


x = np.zeros(A.volume_shape, np.float32)
for iteration in range(60):
    gradient, loss = A.gradient(x, data, weights.rays)
    x = np.maximum(x - weights.voxels * gradient - 2e-4 * roughness(x), 0)
    if iteration % 10 == 0:
        print(f"iteration {iteration:2d}: loss {loss:.4f}")

truth = scan["tomogram_true"]
plain = reconstruct(scan, iterations=60)
for name, tomogram in {"reconstruct": plain, "own loop": x}.items():
    print(f"{name}: RMS error {np.sqrt(np.mean((tomogram - truth) ** 2)):.5f} absorbance per voxel")

fig, panels = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
shown = {"truth": truth, "reconstruct": plain, "own loop": x}
for panel, (name, tomogram) in zip(panels, shown.items(), strict=True):
    panel.imshow(np.asarray(tomogram)[:, :, 15].T, vmin=0, vmax=float(truth.max()))
    panel.set_title(name)
fig.savefig("your_own_loop.png", dpi=150)
