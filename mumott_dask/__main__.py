"""``python -m mumott_dask`` is ``mumott-dask``."""

from .cli import main

main(prog_name="mumott-dask")
