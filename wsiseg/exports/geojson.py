"""Labels to GeoJSON as QuPath reads it: polygons with holes in level-0 pixels, names, colours, UUIDs.

Areas go on across blocks: outlines follow pixel edges through the whole map. Held in memory are one strip of
labels and the outlines of areas that still go on below it. Format: QuPath's documentation of its GeoJSON
(objectType and classification inside `properties`, `id` a UUID).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from wsiseg.annotations.contours import Outline, trace_outlines
from wsiseg.class_map import LabelClass
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports.ahead import ahead
from wsiseg.exports.files import NAMESPACE, whole_file
from wsiseg.exports.json_rings import ring_texts
from wsiseg.exports.label_store import LabelStore
from wsiseg.exports.simplify import simplified

BATCH_POINTS = 100_000
"""Corners of the outlines that are turned into text at once."""
MOST_POINTS = 5_000_000
"""Default of the size guard: about 80 MB of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoJsonOptions:
    """What a user can choose about polygons."""

    level: int = 0
    """Level of the label pyramid that outlines follow."""
    tolerance: float = 0.0
    """um (px for a photo) by which an outline may deviate; 0 follows pixel edges exactly."""
    min_area: float = 0.0
    """um2 (px for a photo); smaller areas are left out."""
    background: bool = True
    """Whether classes marked background become polygons."""
    most_points: int = MOST_POINTS
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class GeoJsonResult:
    """What was written."""

    path: Path
    polygons: int
    points: int
    left_out: int
    """Areas below the minimum."""


def write_geojson(store: LabelStore, path: Path, options: GeoJsonOptions | None = None) -> GeoJsonResult:
    """Write a FeatureCollection, packed where the name ends in .gz.

    Raises UsageError for options that cannot be, InputRefusedError where the polygons would have more
    points than allowed; then no file is left.
    """
    options = options or GeoJsonOptions()
    store.check_level(options.level)
    for name, value in (("--tolerance-um", options.tolerance), ("--min-area-um2", options.min_area)):
        if not 0 <= value < 1e12:
            raise UsageError(f"{name} {value:g}: expected 0 or more")
    wanted = np.zeros(256, bool)
    wanted[[item.id for item in store.classes.classes if options.background or not item.background]] = True
    with whole_file(path, overwrite=options.overwrite) as file:
        writer = _Writer(store, options, file)
        file.write(b'{"type": "FeatureCollection", "features": [')
        outlines = trace_outlines(
            store.strips(options.level),
            wanted,
            least_px=writer.least_px,
            left_out=writer.leave_out,
            each=ahead,
        )
        for batch in ahead(writer.features, _batches(outlines)):
            writer.add(*batch)
        file.write(b"\n]}\n")
    return GeoJsonResult(path, writer.polygons, writer.points, writer.left_out)


def _batches(outlines: Iterator[Outline]) -> Iterator[list[Outline]]:
    """Yield outlines in lists of about BATCH_POINTS points: what is done to each is done to all."""
    batch: list[Outline] = []
    points = 0
    for outline in outlines:
        batch.append(outline)
        points += len(outline.exterior) + sum(len(hole) for hole in outline.holes)
        if points >= BATCH_POINTS:
            yield batch
            batch, points = [], 0
    if batch:
        yield batch


class _Writer:
    """Turns outlines into features, one line each."""

    def __init__(self, store: LabelStore, options: GeoJsonOptions, file: IO[bytes]) -> None:
        scale = 2**options.level
        self._options = options
        self._file = file
        self._factor = np.array(store.factor_l0) * scale
        self._pixel = np.array(store.mpp or (1.0, 1.0)) * scale
        self._key = f"{store.identity}/{options.level}"
        self._properties = {item.id: _properties(item) for item in store.classes.classes}
        self.least_px = options.min_area / self._pixel.prod()
        self.polygons = self.points = self.left_out = 0

    def leave_out(self, count: int) -> None:
        """Count areas below the minimum."""
        self.left_out += count

    def features(self, outlines: list[Outline]) -> tuple[bytes, int, int]:
        """Return outlines as text, and how many polygons and points that are. Any thread may do this."""
        rings = [ring for outline in outlines for ring in (outline.exterior, *outline.holes)]
        shapes = np.repeat(np.arange(len(outlines)), [1 + len(outline.holes) for outline in outlines])
        points = np.concatenate(rings).astype(np.float64)
        sizes = np.array([len(ring) for ring in rings])
        if self._options.tolerance:
            points, sizes, shapes = simplified(points * self._pixel, sizes, shapes, self._options.tolerance)
            points /= self._pixel
        texts = ring_texts(points * self._factor, sizes)
        ends = np.cumsum(np.bincount(shapes, minlength=len(outlines))).tolist()
        lines = []
        for outline, begin, end in zip(outlines, [0, *ends[:-1]], ends, strict=True):
            x, y = outline.exterior[0].tolist()
            lines.append(
                f'{{"type":"Feature","id":"{_uuid(f"{self._key}/{outline.label}/{x}/{y}")}",'
                f'"geometry":{{"type":"Polygon","coordinates":[{",".join(texts[begin:end])}]}},'
                f'"properties":{self._properties[outline.label]}}}'
            )
        return ",\n".join(lines).encode(), len(outlines), int(sizes.sum() + len(sizes))

    def add(self, text: bytes, polygons: int, points: int) -> None:
        """Write features. Raises InputRefusedError beyond the size guard."""
        self.points += points
        if self.points > self._options.most_points:
            raise InputRefusedError(
                f"the polygons have more than {self._options.most_points:,} points, more than viewers open: "
                f"raise --tolerance-um, --min-area-um2 or --level, or allow more with --most-points"
            )
        self._file.write(b",\n" if self.polygons else b"\n")
        self._file.write(text)
        self.polygons += polygons


def _properties(item: LabelClass) -> str:
    return json.dumps(
        {
            "objectType": "annotation",
            "classification": {"name": item.name, "color": list(item.colour)},
            "isLocked": False,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _uuid(key: str) -> str:
    """Return `uuid.uuid5(NAMESPACE, key)` as text, several times as fast."""
    digest = hashlib.sha1(NAMESPACE.bytes + key.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
