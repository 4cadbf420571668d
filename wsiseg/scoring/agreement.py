"""Two label stores of one slide, side by side: aligned pixel by pixel, compared block by block.

Both are read on the finer one's grid, the other by the nearest pixel. Compared is where both have a class:
what one of them could not read (254) or did not look at (255) is counted apart, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED, UNREAD, ClassMap
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.evaluation.confusion import Confusion
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region, ceil_div

BLOCK_PX = 2048
SAME_FACTOR = 1e-9
NO_CLASS = 253

Pixels = NDArray[np.uint8]
Factor = tuple[float, float]


@dataclass(slots=True)
class Agreement:
    """What was counted."""

    names: tuple[str, ...]
    """Of the classes of either, as `Pair` puts them together."""
    pixel_um2: float | None
    confusion: Confusion
    """Rows are the first, columns the second; ids are places in `names`."""
    only_first_px: int = 0
    """A class in the first, not analysed in the second."""
    only_second_px: int = 0
    unread_px: int = 0
    """Unread in either."""
    neither_px: int = 0
    """Not analysed in both."""
    differing: dict[tuple[int, int], int] = field(default_factory=dict)
    """Block (row, column): pixels of different classes; blocks without any are left out."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain JSON; areas in mm2, or px where the pixel size is unknown."""
        scores = self.confusion.scores()
        unit, pixel = ("px", 1.0) if self.pixel_um2 is None else ("mm2", self.pixel_um2 / 1e6)

        def area(px: int) -> float:
            return px * pixel if unit == "mm2" else int(px)

        size = len(self.names)
        first = self.confusion.counts.sum(1)
        second = self.confusion.counts[:, :size].sum(0)
        return {
            "unit": unit,
            "compared": area(scores.compared_px),
            "pixel_agreement": scores.pixel_accuracy,
            "mean_iou": scores.mean_iou,
            "classes": [
                {
                    "name": name,
                    "iou": scores.iou[place],
                    "f1": scores.f1[place],
                    "first": area(int(first[place])),
                    "second": area(int(second[place])),
                }
                for place, name in enumerate(self.names)
            ],
            "confusion_px": self.confusion.counts[:, :size].tolist(),
            "left_out": {
                "unread_in_either": area(self.unread_px),
                "only_first": area(self.only_first_px),
                "only_second": area(self.only_second_px),
                "neither": area(self.neither_px),
            },
            "notice": "Not for diagnostic use.",
        }


class Pair:
    """Two stores of one slide on one grid, their classes put together by name."""

    def __init__(self, first: LabelStore, second: LabelStore) -> None:
        """Raises InputRefusedError for stores of two slides, UsageError for classes without a common name."""
        self.first, self.second = first, second
        _check_one_slide(first, second)
        finer = first if first.factor_l0[0] <= second.factor_l0[0] * (1 + SAME_FACTOR) else second
        self.factor_l0, self.mpp = finer.factor_l0, finer.mpp
        rows, columns = finer.shape(0)
        self.whole = Region(0, 0, columns, rows)
        """The grid: level 0 of the finer one."""
        self.names, self._tables = _joined(first.classes, second.classes)

    def read(self, region: Region, level: int = 0) -> tuple[Pixels, Pixels]:
        """Return both over a rectangle of the grid, each (rows, columns) uint8: places in `names`, 254, 255.

        At a coarser level the grid's pixels are 2**level times as large, and so are those that are read.
        """
        one, other = (
            _placed(store, table, _read_on(store, region, self.factor_l0, level))
            for store, table in zip((self.first, self.second), self._tables, strict=True)
        )
        return one, other

    def blocks(self) -> Iterator[tuple[tuple[int, int], Region]]:
        """Yield (row, column) and rectangle of each block of the grid."""
        for row in range(ceil_div(self.whole.height, BLOCK_PX)):
            for column in range(ceil_div(self.whole.width, BLOCK_PX)):
                whole = Region(column * BLOCK_PX, row * BLOCK_PX, BLOCK_PX, BLOCK_PX)
                yield (row, column), whole.intersect(self.whole)


def compare(pair: Pair, on_block: Callable[[int, int], bool] | None = None) -> Agreement | None:
    """Count over the whole grid, one block in memory; `on_block(done, total)` ends it by returning False.

    Returns None where it was ended. Raises InputRefusedError for damaged data.
    """
    um2 = None if pair.mpp is None else pair.mpp[0] * pair.mpp[1]
    found = Agreement(pair.names, um2, Confusion(tuple(range(len(pair.names)))))
    blocks = list(pair.blocks())
    for number, (at, region) in enumerate(blocks, start=1):
        first, second = pair.read(region)
        is_unread = (first == UNREAD) | (second == UNREAD)
        is_first, is_second = first < UNREAD, second < UNREAD
        both = is_first & is_second
        found.unread_px += int(is_unread.sum())
        found.only_first_px += int((is_first & (second == NOT_ANALYSED)).sum())
        found.only_second_px += int((is_second & (first == NOT_ANALYSED)).sum())
        found.neither_px += int(((first == NOT_ANALYSED) & (second == NOT_ANALYSED)).sum())
        one, other = first[both], second[both]
        found.confusion.add(one, other)
        if count := int((one != other).sum()):
            found.differing[at] = count
        if on_block is not None and not on_block(number, len(blocks)):
            return None
    return found


def _check_one_slide(first: LabelStore, second: LabelStore) -> None:
    mine, theirs = first.run["slide"], second.run["slide"]
    for key in ("fingerprint", "width_px", "height_px"):
        if mine.get(key) != theirs.get(key):
            raise InputRefusedError(
                f"{first.path.name} is of {mine.get('name')!r}, {second.path.name} of "
                f"{theirs.get('name')!r}, {key} {mine.get(key)} and {theirs.get(key)}: expected two results "
                f"of one slide"
            )


def _joined(first: ClassMap, second: ClassMap) -> tuple[tuple[str, ...], tuple[Pixels, Pixels]]:
    """Return the names of either, the first's order before all, and from label to place in them of each."""
    places: dict[str, int] = {}
    names: list[str] = []
    tables = []
    for classes in (first, second):
        table = np.full(256, NO_CLASS, np.uint8)
        table[[UNREAD, NOT_ANALYSED]] = UNREAD, NOT_ANALYSED
        for item in classes.classes:
            key = " ".join(item.name.split()).casefold()
            if key not in places:
                places[key] = len(names)
                names.append(item.name)
            table[item.id] = places[key]
        tables.append(table)
    if len(names) == len(first) + len(second):
        raise UsageError(
            f"the classes have no name in common ({', '.join(names)[:200]}): expected those of one class map"
        )
    if len(names) > NO_CLASS:
        raise UsageError(f"both together have {len(names)} classes: expected at most {NO_CLASS}")
    return tuple(names), (tables[0], tables[1])


def _placed(store: LabelStore, table: Pixels, labels: Pixels) -> Pixels:
    places = table[labels]
    if (places == NO_CLASS).any():
        strange = labels[places == NO_CLASS][0]
        raise InputRefusedError(f"{store.path}: holds the label {strange}, which is none of its classes")
    return places


def _read_on(store: LabelStore, region: Region, factor_l0: Factor, level: int) -> Pixels:
    """Read a store on a grid of that factor, coarser by 2**level: by the nearest pixel of its own level."""
    wanted = [grid * 2.0**level / mine for grid, mine in zip(factor_l0, store.factor_l0, strict=True)]
    own = max((item for item in range(len(store.levels)) if 2**item <= min(wanted) * 1.01), default=0)
    rows, columns = store.shape(own)
    ratio = [factor / 2**own for factor in wanted]
    at_x = _nearest(region.x, region.right, ratio[0], columns)
    at_y = _nearest(region.y, region.bottom, ratio[1], rows)
    source = Region(int(at_x[0]), int(at_y[0]), int(at_x[-1] - at_x[0]) + 1, int(at_y[-1] - at_y[0]) + 1)
    pixels = store.read(own, source)
    return pixels[np.ix_(at_y - source.y, at_x - source.x)]


def _nearest(begin: int, end: int, ratio: float, count: int) -> NDArray[np.int64]:
    """Return the source pixels in which the middles of a row of pixels lie; the last one past the edge."""
    return np.minimum(((np.arange(begin, end) + 0.5) * ratio).astype(np.int64), count - 1)
