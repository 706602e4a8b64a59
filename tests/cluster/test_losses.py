"""What is told where work ends because its cluster is lost."""

from types import SimpleNamespace

import pytest
from dask import delayed
from distributed import Client

from mumott_dask.cluster import losses_told
from mumott_dask.errors import ScanError
from mumott_dask.placement import workers_of


def test_a_client_that_gave_up_its_scheduler_is_a_lost_cluster():
    with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        pass
    with pytest.raises(ScanError, match=r"cluster that worked on it was lost .*closed"), losses_told():
        client.persist(delayed(int)())


def test_so_is_a_scheduler_that_is_sought():
    """For the seconds in which a client tries to reach it again, it knows of no workers."""
    seeking = SimpleNamespace(scheduler_info=lambda n_workers: {})
    with pytest.raises(ScanError, match=r"cluster that worked on it was lost .*reached"), losses_told():
        workers_of(seeking)
