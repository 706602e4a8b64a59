"""What tests need that a machine may lack: a GPU, programs that are no packages of Python, interrupts."""

import importlib
import os
import signal
import sys
import time

import pytest

from mumott_dask.devices import missing_gpu


def pytest_configure():
    """Interrupts count, here and in what tests start: a shell has what it runs in the background ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Tests that need a GPU run by themselves where there is one."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    why = missing_gpu() if marked else None
    if why is not None:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {why}"))


@pytest.fixture(scope="session")
def lacking():
    """What comes of a test for want of a program: it is skipped, or fails where .ci/run has installed that."""
    return pytest.fail if os.environ.get("MUMOTT_DASK_ALL_PROGRAMS") else pytest.skip


@pytest.fixture(scope="session")
def dask_cuda():
    """The module, which the tests' own dependencies have on Linux."""
    if sys.platform != "linux":
        pytest.skip("dask_cuda is there for Linux alone")
    return importlib.import_module("dask_cuda")


@pytest.fixture
def wait_until():
    """What waits for a condition, and fails where it does not come true."""

    def wait(condition, seconds=60.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s"
            time.sleep(0.1)

    return wait
