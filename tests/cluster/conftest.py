"""A cluster of two worker processes on this machine."""

from collections.abc import Iterator

import distributed
import pytest

from mumott_dask import cluster


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with cluster.local(workers=2, threads=1, dashboard_address=":0") as client:
        yield client
