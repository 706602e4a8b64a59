"""Read a result in xarray, and plot it
====================================

An alignment is a Dataset in a Zarr store, so xarray alone is enough to look at it: labels, units, standard
errors and the history of all iterations come along.
"""

import matplotlib.pyplot as plt
import xarray as xr

from mumott_dask import align, simulate, write_alignment

scan = simulate(shape=(37, 31), tilts=3, rotations=21, seed=3)
write_alignment(align(scan), "alignment.zarr", overwrite=True)

result = xr.open_zarr("alignment.zarr", consolidated=False).load()
print(result)
print("converged:", result.attrs["converged"], "-", result.attrs["reason"])

fig, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
projection = result["projection"]
for name in ("j_offset", "k_offset"):
    axes[0, 0].errorbar(projection, result[name], yerr=result[f"{name}_std"], fmt=".", label=name)
axes[0, 0].set_ylabel("offset (pixels)")
axes[0, 0].legend(frameon=False)
result["j_offset_std"].plot.hist(ax=axes[0, 1], bins=20)
result["largest_step"].plot(ax=axes[1, 0], x="iteration", yscale="log")
middle = result.sizes["z"] // 2
result["tomogram"].isel(z=middle).plot.imshow(ax=axes[1, 1], x="x", y="y")
fig.savefig("read_in_xarray.png", dpi=150)

error = result["j_offset_std"]
print(f"least certain: projection {int(error.idxmax())}, {error.max().item():.4f} pixel")
