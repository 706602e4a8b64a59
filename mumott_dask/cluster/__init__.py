"""Dask clusters to work on: on this machine, on its GPUs, or one that runs already (floor 7).

In: numbers of workers and threads, or a scheduler's address. Out: a :class:`distributed.Client`, made the
active one, on which everything chunked is computed from then on.
"""

from .connecting import capacity as capacity
from .connecting import connect as connect
from .gpus import cuda as cuda
from .losses import losses_told as losses_told
from .processes import local as local
