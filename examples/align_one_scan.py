"""Align one scan
==============

A piece of bone is simulated as a scanner would see it whose stage jitters, drifts and jumps between tilts.
The offsets are found from the projections alone, compared with the truth, and drawn. With a scan of your own,
``open_scan("scan.h5")`` takes the place of ``simulate``, and there is no truth to compare with.
"""

from matplotlib import pyplot

from mumott_dask import align, compare, plot, simulate, with_offsets

scan = simulate(shape=(48, 40), tilts=3, rotations=31, jumps=3, pixel_size=25.0, seed=1)

alignment = align(scan)
print(f"converged: {alignment.attrs['converged']} ({alignment.attrs['reason']})")

# A shift of the whole sample can't be told from the projections: `compare` takes it out.
before, after = compare(scan, "truth", scan), compare(alignment, "truth", scan)
print(f"RMS error of the offsets: {before.attrs['rms']:.3f} pixel before, {after.attrs['rms']:.4f} after")

figure, ((found, difference), (raw, aligned)) = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
plot.offsets(alignment, scan, ax=found)
plot.comparison(after, ax=difference)
plot.sinogram(scan, ax=raw)
plot.sinogram(with_offsets(scan, alignment), ax=aligned)
figure.savefig("align_one_scan_offsets.png", dpi=150)

panels = plot.slices(alignment["tomogram"])
panels[0].figure.savefig("align_one_scan_slices.png", dpi=150)
