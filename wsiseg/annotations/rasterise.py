"""Polygons to labels, one rectangle at a time. Pure NumPy.

A pixel belongs to an area when its centre does. Edges are half open, so areas that share an edge share no
pixel and leave none between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import Annotation, Ring, ring_area
from wsiseg.annotations.classes import label_values
from wsiseg.class_map import NOT_ANALYSED, ClassMap
from wsiseg.errors import UsageError, choose
from wsiseg.geometry import Region

Overlap = Literal["later", "smaller"]
OVERLAPS: tuple[Overlap, ...] = ("later", "smaller")
MOST_CROSSINGS = 4_000_000
"""Edges times rows handled at once: bounds memory (about 32 bytes each) for an outline of any length."""


class AnnotationLayer:
    """Annotations with their labels, in the order of painting; draws any rectangle without the others."""

    def __init__(
        self, annotations: Sequence[Annotation], labels: Sequence[int], overlap: Overlap = "later"
    ) -> None:
        """`labels` are uint8 values, one per annotation, as `label_values` gives them."""
        if overlap not in OVERLAPS:
            raise UsageError(choose("--overlap", overlap, OVERLAPS))
        pairs = sorted(zip(annotations, labels, strict=True), key=lambda pair: pair[0].order)
        if overlap == "smaller":
            pairs.sort(key=lambda pair: -area_l0(pair[0]))  # stable: of equal areas the later wins
        self._items = [item for item, _ in pairs]
        self._labels = [label for _, label in pairs]
        self._low = np.array([item.exterior.min(0) for item in self._items]).reshape(-1, 2)
        self._high = np.array([item.exterior.max(0) for item in self._items]).reshape(-1, 2)

    def touching(self, region: Region, factor_l0: tuple[float, float]) -> NDArray[np.intp]:
        """Return the numbers of the annotations whose box meets a rectangle, in the order of painting."""
        factor = np.array(factor_l0)
        low = np.array([region.x, region.y]) * factor
        high = np.array([region.right, region.bottom]) * factor
        return np.flatnonzero(((self._low < high) & (self._high > low)).all(1))

    def rasterise(self, region: Region, factor_l0: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.uint8]:
        """Draw a rectangle of a frame; `factor_l0` is (x, y) level-0 pixels per pixel of that frame.

        Returns (region.height, region.width) uint8, 255 where no annotation is.
        """
        out = np.full(region.shape, NOT_ANALYSED, np.uint8)
        for number in self.touching(region, factor_l0):
            item = self._items[number]
            low = np.floor(self._low[number] / factor_l0).astype(np.int64)
            high = np.ceil(self._high[number] / factor_l0).astype(np.int64)
            box = Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])).intersect(
                region
            )
            if not box.area:
                continue
            inside = inside_of(item, box, factor_l0)
            out[box.slices_in(region)][inside] = self._labels[number]
        return out


def rasterise(
    annotations: Sequence[Annotation],
    classes: ClassMap,
    region: Region,
    factor_l0: tuple[float, float] = (1.0, 1.0),
    overlap: Overlap = "later",
) -> NDArray[np.uint8]:
    """Draw one rectangle; for many of them keep an `AnnotationLayer`. Returns as its `rasterise` does."""
    return AnnotationLayer(annotations, label_values(annotations, classes), overlap).rasterise(
        region, factor_l0
    )


def area_l0(item: Annotation) -> float:
    """Return the area of an annotation in level-0 pixels, its holes taken off."""
    return abs(ring_area(item.exterior)) - sum(abs(ring_area(hole)) for hole in item.holes)


def inside_of(item: Annotation, box: Region, factor_l0: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which pixel centres of a box lie in an annotation, (box.height, box.width) bool."""
    inside: NDArray[np.bool_] = (_windings([item.exterior], box, factor_l0) & 1).astype(bool)
    if item.holes:
        # Each hole runs the same way round, so that holes that overlap do not cancel out.
        holes = [hole if ring_area(hole) > 0 else hole[::-1] for hole in item.holes]
        inside &= _windings(holes, box, factor_l0) == 0
    return inside


def _windings(rings: Sequence[Ring], box: Region, factor_l0: tuple[float, float]) -> NDArray[np.int32]:
    """Return how often the rings wind around each pixel centre, (box.height, box.width) int32."""
    steps = np.zeros((box.height, box.width + 1), np.int32)
    for ring in rings:
        start = ring / factor_l0 - (box.x + 0.5, box.y + 0.5)  # pixel centres are whole numbers now
        end = np.concatenate([start[1:], start[:1]])
        low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
        first = np.clip(np.ceil(low), 0, box.height).astype(np.int64)
        count = np.clip(np.ceil(high), 0, box.height).astype(np.int64) - first
        kept = (count > 0) & (np.minimum(start[:, 0], end[:, 0]) <= box.width)
        start, end, first, count = start[kept], end[kept], first[kept], count[kept]
        if count.sum() <= MOST_CROSSINGS:
            _cross(steps, start, end, first, count)
            continue
        cut = np.searchsorted(np.cumsum(count), np.arange(0, count.sum(), MOST_CROSSINGS), side="right")
        for part in np.split(np.arange(len(count)), np.unique(cut[cut > 0])):
            _cross(steps, start[part], end[part], first[part], count[part])
    return np.cumsum(steps[:, :-1], axis=1, dtype=np.int32)


def _cross(
    steps: NDArray[np.int32],
    start: Ring,
    end: Ring,
    first: NDArray[np.int64],
    count: NDArray[np.int64],
) -> None:
    """Add +1 or -1 at the first pixel to the right of where each edge crosses a row of centres."""
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
    crossing = start[edge, 0] + (row - start[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(crossing), 0, steps.shape[1] - 1).astype(np.int64)
    direction = np.where(end[:, 1] > start[:, 1], np.int32(1), np.int32(-1))
    np.add.at(steps, (row, column), direction[edge])
