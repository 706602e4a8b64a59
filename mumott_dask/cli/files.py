"""Files as commands open and check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mumott_dask.errors import ScanError

if TYPE_CHECKING:
    import xarray as xr

    from mumott_dask.scan import Capacity


def opened_scan(path: str, capacity: Capacity | None, chunks: int | Literal["auto"] | None) -> xr.Dataset:
    """Scan for a cluster (None: for this process), in chunks of that many projections.

    Without a number, the scan is loaded where there is no cluster, and otherwise cut to suit it.
    """
    from mumott_dask.scan import open_scan

    return open_scan(path, chunks=chunks if capacity is None or isinstance(chunks, int) else capacity)


def opened_offsets(path: str) -> xr.Dataset:
    """Alignment or scan at a path; of a scan, no pixel is read."""
    from mumott_dask.alignment import open_alignment
    from mumott_dask.scan import open_scan

    return open_alignment(path) if "alignment" in kind_of(path) else open_scan(path, chunks="auto")


def kind_of(path: str) -> str:
    """Name what a file or a store holds: ``"scan"``, ``"alignment"`` or another kind."""
    from mumott_dask.scan.zarr_store import stored_kind

    return stored_kind(path) if (Path(path) / "zarr.json").is_file() else "scan"


def check_new(path: str | Path, overwrite: bool, *inputs: str | Path | None) -> None:
    """Make sure that an output can be written, before the work whose result it takes.

    Raises
    ------
    ScanError
        Where it is one of the inputs, is there already, or has no folder that can be written to.
    """
    from mumott_dask.scan.atomic import check_output

    if Path(path).exists():
        if any(Path(path).resolve() == Path(name).resolve() for name in inputs if name is not None):
            raise ScanError(f"{path}: is what is read here, expected another name for the output")
        if not overwrite:
            raise ScanError(f"{path}: exists already, expected a new name, or --overwrite to replace it")
    check_output(path, overwrite)


def check_suffix(path: str | Path, *suffixes: str) -> None:
    """Make sure that an output's name ends in one of the suffixes."""
    if Path(path).suffix.lower() not in suffixes:
        raise ScanError(f"{path}: expected a name that ends in {' or '.join(suffixes)}")
