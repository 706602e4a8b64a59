"""What is used of dask_jobqueue, imported without what that does to Ctrl-C."""

import signal

_set = signal.signal
signal.signal = lambda *_: None  # dask_jobqueue.runner would end the process on Ctrl-C
try:
    from dask_jobqueue.slurm import SLURMCluster as SLURMCluster
    from dask_jobqueue.slurm import SLURMJob as SLURMJob
finally:
    signal.signal = _set
