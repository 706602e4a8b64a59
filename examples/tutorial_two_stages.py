"""The tutorial of mumott
======================

The optical-flow tutorial of mumott with its imports changed from ``mumott`` to ``mumott_dask.compat``: a
start from centres of mass, then two stages from coarse to fine. A simulated scan, in a file such as mumott
reads, stands for the published one.
"""

import matplotlib.pyplot as plt
import numpy as np

from mumott_dask import compare, simulate, write_scan
from mumott_dask.compat.data_handling import DataContainer
from mumott_dask.compat.pipelines import optical_flow_alignment as amo
from mumott_dask.compat.pipelines import run_mitra

scan = simulate(shape=(37, 31), tilts=4, rotations=21, jumps=2, jitter=0.5, drift=0.5)
write_scan(scan, "simulated_bone.h5", overwrite=True)

dc = DataContainer("simulated_bone.h5")
geo = dc.geometry
mitra = {"maxiter": 20, "ftol": None}
unaligned = run_mitra(dc, **mitra)["result"]["x"]

# A first guess: the centre of mass of each projection, across the rotation axis.
initial_shift = amo.line_vertical_alignment(dc)

common = {"align_horizontal": True, "align_vertical": True, "smooth_data": True}
coarse = {"rec_iteration": 5, "stop_max_iteration": 15, "sigma_smooth": 2.0, "center_reconstruction": True}
fine = {"rec_iteration": 40, "stop_max_iteration": 5, "sigma_smooth": 1.0, "center_reconstruction": False}
shifts_1, _, _ = amo.run_optical_flow_alignment(dc, optimal_shift=initial_shift, **common, **coarse)
shifts_2, _, _ = amo.run_optical_flow_alignment(dc, optimal_shift=shifts_1, **common, **fine)

fig, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
for shifts in (initial_shift, shifts_1, shifts_2):
    geo.j_offsets, geo.k_offsets = amo.shifts_to_geometry(dc, shifts)
    axes[0, 0].plot(geo.j_offsets)
    axes[1, 0].plot(geo.k_offsets)
axes[0, 0].set_ylabel("offset j (pixels)")
axes[1, 0].set_ylabel("offset k (pixels)")
axes[0, 0].legend(["centre of mass", "stage 1", "stage 2"], frameon=False)

aligned = run_mitra(dc, **mitra)["result"]["x"]
for row, (name, tomogram) in enumerate({"unaligned": unaligned, "aligned": aligned}.items()):
    axes[row, 1].imshow(tomogram[tomogram.shape[0] // 2, :, :, 0].T)
    axes[row, 2].imshow(tomogram[:, :, tomogram.shape[2] // 2, 0].T)
    axes[row, 1].set_title(name)
fig.savefig("tutorial_two_stages.png", dpi=150)

found = scan.assign_coords(
    j_offset=("projection", np.array(geo.j_offsets)), k_offset=("projection", np.array(geo.k_offsets))
)
print(f"RMS error of the offsets: {compare(found, 'truth', scan).attrs['rms']:.4f} pixel")
