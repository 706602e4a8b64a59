"""``python -m mumott_dask`` is ``mumott-dask``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="mumott-dask")
