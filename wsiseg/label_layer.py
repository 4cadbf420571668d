"""Labels of an OME-Zarr store as a layer of an import: the nearest pixel, its value by the class map."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.classes import name_table
from wsiseg.class_map import NOT_ANALYSED, UNREAD, ClassMap
from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides.label_zarr import LabelZarr

READ_PX = 16_000_000
"""Pixels of the source read at once."""
MOST_OFF = 0.01
"""Part by which pixel sizes may contradict the size in pixels."""


class ZarrLayer:
    """Draws any rectangle of a frame from label levels; unknown values are refused when they are met."""

    def __init__(
        self,
        labels: LabelZarr,
        classes: ClassMap,
        ignored: Iterable[str],
        size_l0: tuple[int, int],
        slide_mpp: tuple[float, float],
        factor_l0: tuple[float, float],
    ) -> None:
        """`size_l0` and `slide_mpp` are the slide's (x, y); `factor_l0` is of the frame to be drawn.

        Raises InputRefusedError where the labels do not cover the slide.
        """
        self._labels = labels
        self._classes = classes
        self._table = name_table(classes, ignored)
        finest = _factor_l0(labels, size_l0, slide_mpp)
        factors = [(finest[0] * step[0], finest[1] * step[1]) for step in _steps(labels)]
        fine = [level for level, factor in enumerate(factors) if factor[0] <= factor_l0[0] * 1.01]
        self._level = max(fine, default=0)
        self._factor = factors[self._level]

    def rasterise(self, region: Region, factor_l0: tuple[float, float]) -> NDArray[np.uint8]:
        """Return (region.height, region.width) uint8 labels; 255 where the source says nothing."""
        rows_in, columns_in = self._labels.shape(self._level)
        ratio = [mine / theirs for mine, theirs in zip(factor_l0, self._factor, strict=True)]
        centres = np.arange(region.x, region.right) + 0.5, np.arange(region.y, region.bottom) + 0.5
        at_x = np.minimum((centres[0] * ratio[0]).astype(np.int64), columns_in - 1)
        at_y = np.minimum((centres[1] * ratio[1]).astype(np.int64), rows_in - 1)
        out = np.empty(region.shape, np.uint8)
        left, width = int(at_x[0]), int(at_x[-1]) - int(at_x[0]) + 1
        step = max(1, int(READ_PX / max(1.0, width * ratio[1])))
        for top in range(0, region.height, step):
            rows = at_y[top : top + step]
            source = Region(left, int(rows[0]), width, int(rows[-1]) - int(rows[0]) + 1)
            values = self._labels.read(self._level, source)
            out[top : top + step] = self._mapped(values[np.ix_(rows - rows[0], at_x - left)])
        return out

    def _mapped(self, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return label values of the class map; (rows, columns) of any integers to uint8."""
        found, place = np.unique(values, return_inverse=True)
        table = np.array([self._label(int(value)) for value in found], np.uint8)
        return table[place].reshape(values.shape)

    def _label(self, value: int) -> int:
        name = self._labels.names.get(value)
        label = None if name is None else self._table.get(" ".join(name.split()).casefold())
        if label is None and value in self._classes.ids and (name is None or not self._knows_names()):
            label = value
        if label is None and value in (0, UNREAD, NOT_ANALYSED):
            label = NOT_ANALYSED  # NGFF: 0 is where nothing is labelled
        if label is None:
            said = f"{value} ({name!r})" if name else str(value)
            raise InputRefusedError(
                f"labels {self._labels.name}: the value {said} is not in the class map: add its name there "
                f"under annotation_names, or leave it out with --ignore NAME"
            )
        return label

    def _knows_names(self) -> bool:
        return any(" ".join(name.split()).casefold() in self._table for name in self._labels.names.values())


def _factor_l0(
    labels: LabelZarr, size_l0: tuple[int, int], slide_mpp: tuple[float, float]
) -> tuple[float, float]:
    """Return (x, y) level-0 pixels per finest label pixel. Raises InputRefusedError for labels of a part.

    The pixel sizes say it exactly where they fit; where they are a little off (a slide whose um per pixel
    was told) or not there, the size says it to within a pixel, because labels cover the whole slide.
    """
    rows, columns = labels.shape(0)
    by_size = (size_l0[0] / columns, size_l0[1] / rows)
    said = by_size if labels.mpp is None else (labels.mpp[0] / slide_mpp[0], labels.mpp[1] / slide_mpp[1])
    pairs = list(zip(said, by_size, (columns, rows), size_l0, strict=True))
    if all(abs(count * value - side) <= value for value, _, count, side in pairs):
        return said
    off = max(abs(value / size - 1) for value, size, _, _ in pairs)
    if off > MOST_OFF or abs(by_size[0] / by_size[1] * said[1] / said[0] - 1) > MOST_OFF:
        raise InputRefusedError(
            f"labels {labels.name}: {columns} x {rows} px of {said[0]:g} x {said[1]:g} level-0 pixels do not "
            f"cover the slide's {size_l0[0]} x {size_l0[1]}: expected labels of the whole slide"
        )
    return by_size


def _steps(labels: LabelZarr) -> list[tuple[float, float]]:
    """Return the (x, y) factor of each level against the finest; halves that were rounded are whole."""
    rows, columns = labels.shape(0)
    found = []
    for level in range(len(labels.levels)):
        high, wide = labels.shape(level)
        whole = round(columns / wide)
        fits = all(abs(short * whole - side) < whole for short, side in ((wide, columns), (high, rows)))
        found.append((float(whole), float(whole)) if fits else (columns / wide, rows / high))
    return found
