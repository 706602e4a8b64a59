"""Dask clusters to work on: this machine, its GPUs, SLURM's nodes, or one that runs already (floor 7).

In: numbers of workers and threads, a site's description, or a scheduler's address. Out: a
:class:`distributed.Client`, made the active one, on which everything chunked is computed from then on.
"""

from .allocations import inside_allocation as inside_allocation
from .connecting import capacity as capacity
from .connecting import connect as connect
from .gpus import cuda as cuda
from .losses import losses_told as losses_told
from .processes import local as local
from .sites import Driver as Driver
from .sites import Jobs as Jobs
from .sites import Site as Site
from .sites import read_site as read_site
from .slurm_jobs import job_script as job_script
from .slurm_jobs import slurm as slurm
