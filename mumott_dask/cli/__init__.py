"""The command line (floor 10): what is typed comes in, files and a few lines of text leave.

Commands import what they work with when they run, so that ``--help`` is at once there.
"""

from __future__ import annotations

import os

import click

from mumott_dask._version import __version__

from .alignments import align_command, compare_command
from .campaigns import campaign_command
from .demonstration import demo_command
from .drivers import attach_command, stop_command
from .reports import report_command, serve_command
from .running import Commands, hand_back_memory
from .scans import convert_command, info_command
from .simulations import simulate_command
from .tomograms import reconstruct_command
from .validation import validate_command


@click.group(
    cls=Commands,
    name="mumott-dask",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it: mumott-dask demo --output demo-output",
)
@click.version_option(__version__, prog_name="mumott-dask")
def main() -> None:
    """Align and reconstruct tomographic scans, on one core or on a Dask cluster.

    A scan is mumott's HDF5 file or a Zarr store. COMMAND --help tells of each command, with an example.
    """
    # Threads of OpenMP spin while they wait, and take the cores from others; asleep they cost nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    hand_back_memory()


for command in (
    demo_command,
    info_command,
    convert_command,
    align_command,
    reconstruct_command,
    compare_command,
    validate_command,
    simulate_command,
    campaign_command,
    attach_command,
    stop_command,
    report_command,
    serve_command,
):
    main.add_command(command)
