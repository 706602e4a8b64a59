"""In chunks, on a local cluster
=============================

The same calls as in memory: a scan that was opened in chunks is aligned by the workers, each of which keeps
the projections that it has read. The dashboard, whose address is printed, shows them at work.
"""

from pathlib import Path

import mumott_dask as md

if __name__ == "__main__":  # the workers import this script when they start
    md.write_scan(md.simulate(shape=(37, 31), tilts=3, rotations=21), "scan.zarr", overwrite=True)

    with md.cluster.local(workers=2, threads=1, dashboard_address=":0") as client:
        print("dashboard:", client.dashboard_link)
        scan = md.open_scan("scan.zarr", chunks=md.cluster.capacity())
        print("chunks of", scan.chunksizes["projection"], "projections")
        alignment = md.align(scan, checkpoint="alignment.zarr", overwrite=True)
        tomogram = md.reconstruct(md.with_offsets(scan, alignment))

    print(md.compare(alignment, "truth", scan).attrs["rms"], "pixel RMS from the truth")
    print("what is kept:", sorted(path.name for path in Path().glob("*.zarr")))
    panels = md.plot.slices(tomogram)
    panels[0].figure.savefig("on_a_local_cluster.png", dpi=150)
