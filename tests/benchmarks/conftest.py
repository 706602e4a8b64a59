import sys

import pytest

import mumott_dask as md


@pytest.fixture(scope="session")
def tutorial_scan():
    """246 projections of 65 x 55 pixels, as in mumott's tutorial."""
    return md.simulate()


@pytest.fixture(scope="session")
def report():
    """Print a measured number beside the bar that it is held against."""

    def line(what, seconds, bar, more=""):
        verdict = "met" if seconds <= bar else "MISSED"
        sys.stdout.write(f"\n{what:34}{seconds:8.3f} s   bar {bar:g} s  {verdict}   {more}\n")

    return line
