"""Error and largest step by iteration, and a sinogram before and after."""

from itertools import groupby

import matplotlib.pyplot as plt

from mumott_dask import align_steps, compare, plot, simulate

scan = simulate(shape=(48, 40), tilts=3, rotations=31, jumps=3, seed=1)


def moved(step):
    """The scan with the offsets of a step."""
    return scan.assign_coords(j_offset=("projection", step.j_offset), k_offset=("projection", step.k_offset))


steps = list(align_steps(scan, "optical-flow"))
numbers = [step.iteration for step in steps]

figure, (loop, before, after) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
loop.semilogy(
    numbers, [compare(moved(step), "truth", scan).attrs["rms"] for step in steps], label="error (RMS)"
)
loop.semilogy(numbers, [step.largest_step for step in steps], "--", label="largest step")
for shade, (stage, group) in enumerate(groupby(steps, key=lambda step: step.stage)):
    first, *_, last = [step.iteration for step in group] * 2
    loop.axvspan(first - 0.5, last + 0.5, color="0.5", alpha=0.1 * shade + 0.05, label=stage, linewidth=0)
loop.set_xlabel("iteration")
loop.set_ylabel("pixels")
loop.legend(fontsize="x-small", frameon=False)
plot.sinogram(scan, ax=before)
plot.sinogram(moved(steps[-1]), ax=after)
before.set_title("before")
after.set_title("after")
