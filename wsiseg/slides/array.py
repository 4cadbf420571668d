"""Pixels that are in memory already, or in anything that slices like an array."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides.base import SlideBase, build_levels
from wsiseg.slides.slide import RGB


class ArraySlide(SlideBase):
    """One level over `data`: (rows, columns, 3) uint8, an ndarray or lazily sliceable (dask, zarr, memmap).

    `mpp` is (x, y) micrometres per pixel, None where unknown. The data are not copied.
    """

    backend = "array"

    def __init__(self, data: Any, *, name: str = "array", mpp: tuple[float, float] | None = None) -> None:
        super().__init__(name, name)
        shape = tuple(getattr(data, "shape", ()))
        dtype = getattr(data, "dtype", None)
        if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or 0 in shape:
            raise InputRefusedError(
                f"array of shape {shape} and dtype {dtype}: expected (rows, columns, 3) of uint8, RGB"
            )
        self.vendor = "none"
        self.levels = build_levels([(int(shape[1]), int(shape[0]))])
        self.mpp = mpp
        self._data: Any = data

    def reopen(self) -> Self:
        """Return another slide over the same data."""
        return type(self)(self._data, name=self.name, mpp=self.mpp)

    def _read_inside(self, level: int, inside: Region) -> RGB:
        rows, columns = inside.slices_in(self.levels[level].region)
        try:
            pixels: RGB = np.asarray(self._data[rows, columns])
        except Exception as error:  # any array library may stand behind it
            raise self._unreadable(level, inside, error) from error
        if pixels.shape != (*inside.shape, 3) or pixels.dtype != np.uint8:
            raise self._unreadable(level, inside, f"the array returned {pixels.shape} of {pixels.dtype}")
        return pixels
