"""Sphinx configuration."""

from mumott_dask import __version__

project = "mumott_dask"
author = "The mumott_dask developers"
copyright = "2026, the mumott_dask developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
exclude_patterns = [
    "_build",
    "accuracy_table.md",
    "accuracy_beyond.md",
    "speed_table.md",
    "validation_table.md",
]  # the tables are included
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
