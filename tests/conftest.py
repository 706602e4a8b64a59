"""Tests that need a GPU run by themselves where there is one."""

import pytest

from mumott_dask.devices import missing_gpu


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    why = missing_gpu() if marked else None
    if why is not None:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {why}"))
