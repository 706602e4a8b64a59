"""Projectors and basis sets, by mumott's names."""

from mumott_dask.compat.missing import names_of_mumott

__getattr__ = names_of_mumott(__name__)
