"""A scan read from a file, by mumott's names."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mumott_dask.compat.core.geometry import Geometry, GeometryTuple
from mumott_dask.compat.core.projection_stack import Projection, ProjectionStack
from mumott_dask.compat.missing import names_of_mumott
from mumott_dask.compat.scans import fill_geometry, from_mumott
from mumott_dask.scan import open_scan, write_scan

__all__ = ["DataContainer"]

__getattr__ = names_of_mumott(__name__)

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


class DataContainer:
    """Images and geometry of a scan, which can be changed.

    Parameters
    ----------
    data_path : path, optional
        A scan as `mumott_dask.open_scan` reads it: mumott's HDF5, or a Zarr store. Without one the container
        is empty.
    data_type : str
        Accepted, without effect: the file itself says what it is.
    skip_data : bool
        Whether the detector's segments are left unread.
    nonfinite_replacement_value : float, optional
        What replaces NaN and infinite pixels, which are an error otherwise.

    Raises
    ------
    ScanError
        (a ValueError) What is wrong with the file, and where.

    Notes
    -----
    What differs from mumott 2.3: what pads projections of unequal shapes has weight 0, and their offsets are
    raised by half of the padding (there, lowered); a scan about j without a volume's shape gets one of
    (J, K, K); weights that are the same for all segments are one segment long.
    """

    def __init__(
        self,
        data_path: str | None = None,
        data_type: str = "h5",
        skip_data: bool = False,
        nonfinite_replacement_value: float | None = None,
    ) -> None:
        self.projections = ProjectionStack()
        self._corrected = False
        if data_path is not None:
            self._read(data_path, skip_data, nonfinite_replacement_value)

    def _read(self, path: str, skip_data: bool, nonfinite: float | None) -> None:
        scan = open_scan(path, "auto" if skip_data else None, nonfinite)
        scan = (scan.drop_vars("data", errors="ignore") if skip_data else scan).compute()
        diode, weights = scan["diode"].values, scan["weights"].values
        weights = weights if weights.ndim == 4 else weights[..., np.newaxis]
        for i in range(scan.sizes["projection"]):
            data = scan["data"].values[i] if "data" in scan else None
            self.append(Projection(data, diode[i], weights[i]))
        self.geometry.delete_projections()
        fill_geometry(self.geometry, scan, GeometryTuple)

    @property
    def geometry(self) -> Geometry:
        """Rotations, offsets, axes and directions, which can be set."""
        return self.projections.geometry

    @property
    def data(self) -> Floats | None:
        """Detector segments, (projection, j, k, segment), a copy; None where they were not read."""
        return self.projections.data

    @property
    def diode(self) -> Floats | None:
        """Transmitted intensities, (projection, j, k), a copy."""
        return self.projections.diode

    @property
    def weights(self) -> Floats | None:
        """Weights, (projection, j, k, segment), a copy."""
        return self.projections.weights

    def append(self, f: Projection) -> None:
        """Add a projection."""
        self.projections.append(f)

    def __len__(self) -> int:
        return len(self.projections)

    def correct_for_transmission(self) -> None:
        """Divide the detector's segments by the diode, the first time that it is called.

        Pixels where the diode is not positive get 0 and weight 0 (in mumott 2.3, what the division gives).
        """
        if self._corrected:
            log.info("the segments are corrected for transmission already")
            return
        for projection in self.projections:
            if projection.data is None or projection.diode is None or projection.weights is None:
                raise ValueError("there are no segments to correct: read them with skip_data=False")
            seen = (projection.diode > 0)[..., np.newaxis]
            divisor = np.where(seen, projection.diode[..., np.newaxis], 1)
            projection.data = np.where(seen, projection.data / divisor, 0)
            projection.weights = projection.weights * seen
        self._corrected = True

    def write(self, filename: str) -> None:
        """Write images and geometry as mumott's HDF5, over what is there; ``.h5`` is added where it lacks."""
        path = Path(filename)
        if path.suffix.lower() not in ("", ".h5"):
            raise ValueError(f"{filename}: expected a name that ends in .h5")
        write_scan(from_mumott(self), path.with_suffix(".h5"), overwrite=True)

    def __repr__(self) -> str:
        segments = "no" if self.projections.data is None else self.projections.data.shape[-1]
        return f"<DataContainer: {self.geometry!r}, {segments} segments, corrected: {self._corrected}>"
