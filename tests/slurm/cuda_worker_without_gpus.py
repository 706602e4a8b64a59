"""``python -m dask_cuda.cli`` where there is no GPU: what asks the driver is taken out.

Its command line, its count of workers (by CUDA_VISIBLE_DEVICES), their names and what each sees are the real ones.
"""

import dask_cuda.cuda_worker as real
from dask_cuda.cli import worker
from distributed import Nanny


def nanny(*arguments, preload, preload_argv, **named):
    assert preload[-1] == "dask_cuda.initialize"
    assert preload_argv[-1] == "--create-cuda-context"
    return Nanny(*arguments, preload=preload[:-1], preload_argv=preload_argv[:-1], **named)


real.Nanny = nanny
real.nvml_device_index = lambda number, visible: number
real.worker_data_function = lambda **options: lambda device: dict
real.worker_plugins = lambda **options: set()
real.initialize = lambda **options: None

if __name__ == "__main__":
    worker()
