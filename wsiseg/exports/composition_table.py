"""Composition as CSV or Parquet: pixels, mm2, percent, ratios, of the whole map and of regions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import Annotation
from wsiseg.annotations.rasterise import inside_of
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, UNREAD
from wsiseg.errors import UsageError
from wsiseg.exports.files import whole_file
from wsiseg.exports.label_store import LabelStore
from wsiseg.exports.summary import ratios
from wsiseg.geometry import Region

WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Row:
    """One class in one region; the columns of the table, in this order. None is an empty cell."""

    region: str
    id: int
    name: str
    pixels: int
    mm2: float | None
    """None for a photo."""
    percent: float | None
    """Of what belongs to a class that is no background."""
    epithelium_to_stroma: float | None
    """Of the region: area of the classes called epithelium over that of those called stroma."""
    necrosis_percent: float | None
    """Of the region: share of the classes called necrosis."""


def write_composition(
    store: LabelStore,
    path: Path,
    regions: Sequence[Annotation] = (),
    *,
    parquet: bool = False,
    overwrite: bool = False,
) -> int:
    """Write one row per region and class, counted at the finest level; return the number of rows.

    CSV, or Parquet. The first region is the whole map; `regions` are
    level-0 polygons and follow as "1 name", "2 name"... Raises UsageError for Parquet without pyarrow.
    """
    rows = list(table_rows(store, regions))
    content = _parquet(rows) if parquet else _csv(rows)
    with whole_file(path, overwrite=overwrite) as file:
        file.write(content)
    return len(rows)


def table_rows(store: LabelStore, regions: Sequence[Annotation] = ()) -> Iterator[Row]:
    """Yield the rows of the whole map, then of each region."""
    whole = np.zeros(256, np.int64)
    for strip in store.strips(0):
        whole += np.bincount(strip.ravel(), minlength=256)
    yield from _rows(store, WHOLE, whole)
    for number, region in enumerate(regions, 1):
        yield from _rows(store, f"{number} {region.name}", count_inside(store, region))


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


def _rows(store: LabelStore, region: str, counts: NDArray[np.int64]) -> Iterator[Row]:
    mm2 = None if store.mpp is None else store.mpp[0] * store.mpp[1] * 1e-6
    classes = store.classes.classes
    total = sum(int(counts[item.id]) for item in classes if not item.background)
    known = [(item.id, item.name, not item.background) for item in classes]
    known += [(label, RESERVED_NAMES[label], False) for label in (UNREAD, NOT_ANALYSED)]
    of_region = ratios(store.classes, dict(enumerate(counts.tolist())))
    for label, name, counts_in in known:
        pixels = int(counts[label])
        share = round(100 * pixels / total, 4) if counts_in and total else None
        area = None if mm2 is None else round(pixels * mm2, 6)
        yield Row(region, label, name, pixels, area, share, **of_region)


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("class" if item.name == "name" else item.name for item in fields(Row))
    for row in rows:
        writer.writerow(
            "" if value is None else plain_cell(value) if isinstance(value, str) else value
            for value in asdict(row).values()
        )
    return text.getvalue().encode()


def plain_cell(text: str) -> str:
    """Keep a spreadsheet from running a name as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _parquet(rows: Sequence[Row]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'wsiseg[parquet]', or take --format csv"
        ) from error
    kinds = {
        "region": pyarrow.string(),
        "id": pyarrow.int64(),
        "name": pyarrow.string(),
        "pixels": pyarrow.int64(),
    }
    schema = pyarrow.schema(
        ("class" if item.name == "name" else item.name, kinds.get(item.name, pyarrow.float64()))
        for item in fields(Row)
    )
    columns = [[getattr(row, item.name) for row in rows] for item in fields(Row)]
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
