"""Where two label stores differ, at every level: read when it is looked at."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from wsiseg.class_map import NOT_ANALYSED, UNREAD, ClassMap, LabelClass
from wsiseg.geometry import Region
from wsiseg.pyramid.levels import halve_labels
from wsiseg.scoring.agreement import Pair
from wsiseg.viewing.levels import Pixels, halved_shapes

SAME, DIFFERS, ONLY_FIRST, ONLY_SECOND = range(4)
CLASSES = ClassMap(
    classes=(
        LabelClass(id=SAME, name="same class", colour=(0, 0, 0), background=True),
        LabelClass(id=DIFFERS, name="differs", colour=(255, 60, 0)),
        LabelClass(id=ONLY_FIRST, name="only in the first", colour=(0, 200, 255)),
        LabelClass(id=ONLY_SECOND, name="only in the second", colour=(255, 220, 0)),
    )
)
"""Of the labels of a difference; 254 is unread in either, 255 not analysed in both."""


def difference(first: Pixels, second: Pixels) -> Pixels:
    """Return what differs, in the ids of CLASSES; (rows, columns) uint8 as `Pair.read` gives them."""
    out = np.where(first == second, np.uint8(SAME), np.uint8(DIFFERS))
    out[first == NOT_ANALYSED] = ONLY_SECOND
    out[second == NOT_ANALYSED] = ONLY_FIRST
    out[(first == NOT_ANALYSED) & (second == NOT_ANALYSED)] = NOT_ANALYSED
    out[(first == UNREAD) | (second == UNREAD)] = UNREAD
    return out


class DifferenceLevels:
    """A pyramid on the pair's grid. A coarse level shows what the two coarse levels say, each by its vote."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.fill: tuple[int, ...] = (NOT_ANALYSED,)
        self._shapes = halved_shapes(pair.whole.shape)
        self._stored = min(len(pair.first.levels), len(pair.second.levels), len(self._shapes))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """See `Levels.shapes`."""
        return self._shapes

    def read(self, level: int, region: Region) -> Pixels:
        """See `Levels.read`. Raises InputRefusedError for damaged data."""
        last = self._stored - 1
        if level <= last:
            return difference(*self.pair.read(region, level))
        rows, columns = self._shapes[last]
        first, second = self.pair.read(Region(0, 0, columns, rows), last)
        labels = difference(first, second)
        for _ in range(level - last):
            labels = halve_labels(labels)
        return labels[region.slices_in(Region(0, 0, 0, 0))]


def largest_difference(pair: Pair, region: Region) -> Region | None:
    """Return the box of the largest area of different classes in a rectangle of the pair's grid, if any."""
    areas, count = ndimage.label(difference(*pair.read(region)) == DIFFERS)
    if not count:
        return None
    number = int(np.argmax(np.bincount(areas.ravel())[1:]))
    rows, columns = ndimage.find_objects(areas)[number]
    return Region(
        region.x + columns.start,
        region.y + rows.start,
        columns.stop - columns.start,
        rows.stop - rows.start,
    )
