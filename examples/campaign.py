"""A campaign of many samples
=============================

A manifest says which scans there are, and what to do with each. Here two workers align and reconstruct eight
scans of bone, one of them with the sign of its tilts wrong: its alignment converges as all others do, but no
tomogram explains all of its projections, which sets it apart.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import mumott_dask as md
from mumott_dask.campaign import campaign_table, read_manifest, run_campaign

MANIFEST = """
samples:
- bone_*.zarr
- path: bone_7.zarr
  reconstruct: {iterations: 40}    # settings of its own
align: {tolerance: 0.01}
outputs: {directory: bones}
"""

if __name__ == "__main__":  # the workers import this script when they start
    for seed in range(8):
        scan = md.simulate((24, 20), tilts=2, rotations=12, jitter=0.5, jumps=1, photons=10_000, seed=seed)
        if seed == 3:
            scan = md.make_scan(
                scan["diode"].values,
                scan["inner_angle"].values,
                tilts=-scan["outer_angle"].values,
                inner_axis=scan["inner_axis"].values[0],
                outer_axis=scan["outer_axis"].values,
            )
        md.write_scan(scan, f"bone_{seed}.zarr", overwrite=True)
    Path("bones.yaml").write_text(MANIFEST)

    manifest = read_manifest("bones.yaml")
    with md.cluster.local(workers=2, threads=1, dashboard_address=":0"):
        run_campaign(manifest)
    table = campaign_table(manifest)
    print(table[["sample", "status", "verdict", "residual", "j_std", "seconds"]].to_string())

    figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    for verdict, rows in table.groupby("verdict"):
        ax.scatter(
            rows["residual"] / rows["noise"], rows["j_std"] * rows["signal"] / rows["noise"], label=verdict
        )
    ax.set(
        xlabel="residual over its noise", ylabel="error bar (pixel) over noise", xscale="log", yscale="log"
    )
    ax.legend()
    figure.savefig("campaign.png", dpi=150)
