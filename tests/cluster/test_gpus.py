"""A worker for each GPU: what is started where there are some, what is said where there are none."""

from inspect import signature

import distributed
import pytest

from mumott_dask import ScanError, cluster
from mumott_dask.cluster import gpus
from mumott_dask.cluster.gpus import cuda_options
from mumott_dask.devices import missing_gpu


def test_the_options_of_a_cluster_of_gpus_are_those_that_there_are(dask_cuda):
    """Against the real signatures; the cluster itself needs GPUs, see tests/gpu."""
    known = signature(dask_cuda.LocalCUDACluster).parameters
    passed_on = signature(distributed.LocalCluster).parameters
    for options in (
        cuda_options(None, [0, 1, 2, 3]),
        cuda_options(2, [4, 5, 6], "8GiB", "60GiB", None),
    ):
        unknown = [name for name in options if name not in known and name not in passed_on]
        assert unknown == ["preload"]  # which LocalCluster hands to the workers
        assert "preload" in signature(distributed.Worker).parameters


def test_one_worker_for_each_gpu_that_is_chosen():
    assert cuda_options(None, [2, 5])["CUDA_VISIBLE_DEVICES"] == [2, 5]
    assert cuda_options(2, [2, 5, 7])["CUDA_VISIBLE_DEVICES"] == [2, 5]
    assert cuda_options([7, 2], [2, 5, 7])["CUDA_VISIBLE_DEVICES"] == [7, 2]
    assert cuda_options([7, 2], [2, 5, 7])["n_workers"] == 2
    for wrong in (0, 4, [3], [], [2, 3]):
        with pytest.raises(
            ScanError, match=r"gpus is .*, expected some of the 3 that are there: \[2, 5, 7\]"
        ):
            cuda_options(wrong, [2, 5, 7])


def test_no_cluster_of_gpus_without_any(monkeypatch):
    if missing_gpu() is None:  # where there is one, it is hidden
        monkeypatch.setattr(gpus, "missing_gpu", lambda: "hidden")
    with pytest.raises(ScanError, match="no GPU to start workers for: "):
        cluster.cuda()
