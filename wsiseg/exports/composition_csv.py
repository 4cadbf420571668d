"""Composition as CSV: pixels, mm2 and percent of each class, of the whole map and of regions of interest."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import Annotation
from wsiseg.annotations.rasterise import inside_of
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, UNREAD
from wsiseg.exports.files import whole_file
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region

COLUMNS = ("region", "id", "class", "pixels", "mm2", "percent")
WHOLE = "whole"


def write_composition(
    store: LabelStore, path: Path, regions: Sequence[Annotation] = (), *, overwrite: bool = False
) -> int:
    """Write one row per region and class, counted at the finest level; return the number of rows.

    The first region is the whole map; `regions` are level-0 polygons and follow as "1 name", "2 name"...
    Percentages are of what belongs to a class that is no background. `mm2` is empty for a photo.
    """
    whole = np.zeros(256, np.int64)
    for strip in store.strips(0):
        whole += np.bincount(strip.ravel(), minlength=256)
    counted = [(WHOLE, whole)]
    for number, region in enumerate(regions, 1):
        counted.append((f"{number} {region.name}", count_inside(store, region)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = 0
    for name, counts in counted:
        for row in _rows(store, counts):
            writer.writerow((name if name == WHOLE else plain_cell(name), *row))
            rows += 1
    with whole_file(path, overwrite=overwrite) as file:
        file.write(text.getvalue().encode())
    return rows


def count_inside(store: LabelStore, region: Annotation) -> NDArray[np.int64]:
    """Return (256,) pixels of each label whose centre lies in a level-0 polygon."""
    rows, columns = store.shape(0)
    low = np.floor(region.exterior.min(0) / store.factor_l0).astype(int)
    high = np.ceil(region.exterior.max(0) / store.factor_l0).astype(int)
    box = Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])).intersect(
        Region(0, 0, columns, rows)
    )
    counts = np.zeros(256, np.int64)
    side = 2048
    for y in range(box.y, box.bottom, side):
        for x in range(box.x, box.right, side):
            block = Region(x, y, side, side).intersect(box)
            inside = inside_of(region, block, store.factor_l0)
            if inside.any():
                counts += np.bincount(store.read(0, block)[inside], minlength=256)
    return counts


def _rows(store: LabelStore, counts: NDArray[np.int64]) -> list[tuple[object, ...]]:
    mm2 = None if store.mpp is None else store.mpp[0] * store.mpp[1] * 1e-6
    classes = store.classes.classes
    total = sum(int(counts[item.id]) for item in classes if not item.background)
    known = [(item.id, item.name, not item.background) for item in classes]
    known += [(label, RESERVED_NAMES[label], False) for label in (UNREAD, NOT_ANALYSED)]
    rows: list[tuple[object, ...]] = []
    for label, name, counts_in in known:
        pixels = int(counts[label])
        share = round(100 * pixels / total, 4) if counts_in and total else ""
        rows.append((label, plain_cell(name), pixels, "" if mm2 is None else round(pixels * mm2, 6), share))
    return rows


def plain_cell(text: str) -> str:
    """Keep a spreadsheet from running a name as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
