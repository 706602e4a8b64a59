"""Sphinx configuration."""

import logging
import shutil
from pathlib import Path

from mumott_dask import __version__

project = "mumott_dask"
author = "The mumott_dask developers"
copyright = "2026, the mumott_dask developers"
version = release = __version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
html_theme = "furo"
exclude_patterns = [
    "_build",
    "accuracy_table.md",
    "accuracy_beyond.md",
    "speed_table.md",
    "validation_table.md",
]  # the tables are included
autodoc_typehints = "none"
plot_formats = [("png", 110)]
plot_html_show_formats = plot_html_show_source_link = False

logging.getLogger("mumott_dask").setLevel(logging.WARNING)  # the gallery sets the root's to INFO

# Examples are run where they lie, and leave files there: a copy keeps the checkout clean.
examples = Path(__file__).parent / "_build" / "examples"
shutil.rmtree(examples, ignore_errors=True)
shutil.copytree(Path(__file__).parents[1] / "examples", examples)
sphinx_gallery_conf = {
    "examples_dirs": str(examples),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}
napoleon_google_docstring = False
napoleon_use_rtype = False
