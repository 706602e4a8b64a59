import pytest
from measuring import Figures

import mumott_dask as md


@pytest.fixture(scope="session")
def tutorial_scan():
    """246 projections of 65 x 55 pixels, as in mumott's tutorial."""
    return md.simulate()


@pytest.fixture(scope="session")
def _figures():
    figures = Figures()
    yield figures
    if figures.measured:
        figures.write()


@pytest.fixture(scope="session")
def figure(_figures):
    """Print a figure and put it into the table: group, what, value, unit, aim."""
    return _figures.add


@pytest.fixture(scope="session")
def measured(_figures):
    """Value of a figure of this run or an earlier one, by its group and what it is of."""
    return lambda *name: _figures.all()[name].value


@pytest.fixture(scope="session")
def compiled():
    """What an alignment needs is compiled."""
    md.align(md.simulate((24, 20), tilts=1, rotations=8, jumps=0, jitter=0.1), iterations=1)
