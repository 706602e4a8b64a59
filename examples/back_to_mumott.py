"""Hand offsets back to mumott
===========================

An aligned scan leaves as mumott's geometry file, or as HDF5 in its layout. Here both are read again by
mumott's own names; with mumott installed, ``from mumott.data_handling import DataContainer`` reads them as
well, and ``to_mumott_geometry`` gives its geometry without a file.
"""

import matplotlib.pyplot as plt
import numpy as np

from mumott_dask import align, simulate, with_offsets, write_scan
from mumott_dask.compat import Geometry, from_mumott
from mumott_dask.compat.data_handling import DataContainer

scan = simulate(shape=(37, 31), tilts=3, rotations=21, seed=2)
write_scan(scan, "measured.h5", overwrite=True)

# What a script has that was written for mumott: a container, which `from_mumott` turns into a scan.
container = DataContainer("measured.h5")
alignment = align(from_mumott(container))

aligned = with_offsets(scan, alignment)
write_scan(aligned, "aligned.mumott", overwrite=True)  # rotations and offsets alone
write_scan(aligned, "aligned.h5", overwrite=True)  # the images as well

geometry = Geometry("aligned.mumott")
container.geometry.j_offsets, container.geometry.k_offsets = geometry.j_offsets, geometry.k_offsets
again = DataContainer("aligned.h5")
same = np.array_equal(again.geometry.j_offsets, container.geometry.j_offsets)
print("the geometry file and the HDF5 file hold the same offsets:", same)

fig, axes = plt.subplots(2, 1, sharex=True, figsize=(6, 4), layout="constrained")
axes[0].plot(again.geometry.j_offsets)
axes[1].plot(again.geometry.k_offsets)
axes[0].set_ylabel("offset j (pixels)")
axes[1].set_ylabel("offset k (pixels)")
axes[1].set_xlabel("projection")
fig.savefig("back_to_mumott.png", dpi=150)
