"""One image, its reprojection, what is left, and the slopes that it is left of."""

import matplotlib.pyplot as plt
import numpy as np

from mumott_dask import Projector, absorbance, reconstruct, simulate

NUMBER, OFF = 5, np.array([0.9, -0.6])

scan = simulate(shape=(48, 40), tilts=3, rotations=31, jumps=0, jitter=0, drift=0, seed=4)
measured = absorbance(scan)["absorbance"].values[NUMBER]
offsets = scan["j_offset"].values.copy(), scan["k_offset"].values.copy()
tomogram = reconstruct(scan).values
offsets[0][NUMBER], offsets[1][NUMBER] = offsets[0][NUMBER] - OFF[0], offsets[1][NUMBER] - OFF[1]
predicted = Projector.from_scan(scan).with_offsets(*offsets).reproject(tomogram)[NUMBER]

left = measured - predicted
slopes = np.gradient(predicted)
step = np.linalg.lstsq(np.stack([s.ravel() for s in slopes], axis=1), left.ravel(), rcond=None)[0]

figure, axes = plt.subplots(1, 5, figsize=(11, 2.9), layout="constrained")
shown = {
    "measured a": measured,
    "reprojected P": predicted,
    "a - P": left,
    "dP/dj": slopes[0],
    "dP/dk": slopes[1],
}
for axis, (name, image) in zip(axes, shown.items(), strict=True):
    signed = image.min() < -0.02
    largest = np.abs(image).max()
    axis.imshow(
        image.T, origin="lower", cmap="RdBu_r" if signed else "gray_r", vmin=-largest * signed, vmax=largest
    )
    axis.set_title(name)
    axis.set_xticks([])
    axis.set_yticks([])
figure.suptitle(
    f"off by ({OFF[0]:.2f}, {OFF[1]:.2f}) pixel; a - P asks for ({step[0]:.2f}, {step[1]:.2f}) at once"
)
