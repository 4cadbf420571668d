"""Labels to GeoJSON as QuPath reads it: polygons with holes in level-0 pixels, names, colours, UUIDs.

Areas go on across blocks: outlines follow pixel edges through the whole map. Held in memory are one strip of
labels and the outlines of areas that still go on below it. Format: QuPath's documentation of its GeoJSON
(objectType and classification inside `properties`, `id` a UUID).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.contours import Outline, trace_outlines
from wsiseg.class_map import LabelClass
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports.files import NAMESPACE, whole_file
from wsiseg.exports.json_rings import ring_texts
from wsiseg.exports.label_store import LabelStore

BATCH = 4096
"""Outlines written at once: what is done to each is done to all."""
POLYGON = 3
"""Geometry type in shapely's numbering."""
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
        outlines = trace_outlines(store.strips(options.level), wanted)
        while batch := list(islice(outlines, BATCH)):
            writer.add(batch)
        file.write(b"\n]}\n")
    return GeoJsonResult(path, writer.polygons, writer.points, writer.left_out)


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
        self.polygons = self.points = self.left_out = 0

    def add(self, outlines: list[Outline]) -> None:
        """Write the outlines that are large enough. Raises InputRefusedError beyond the size guard."""
        least_px = self._options.min_area / self._pixel.prod()
        kept = [outline for outline in outlines if outline.area_px >= least_px]
        self.left_out += len(outlines) - len(kept)
        if not kept:
            return
        rings = [ring for outline in kept for ring in (outline.exterior, *outline.holes)]
        shapes = np.repeat(np.arange(len(kept)), [1 + len(outline.holes) for outline in kept])
        points = np.concatenate(rings).astype(np.float64)
        sizes = np.array([len(ring) for ring in rings])
        if self._options.tolerance:
            points, sizes, shapes = simplified(points * self._pixel, sizes, shapes, self._options.tolerance)
            points /= self._pixel
        self.points += int(sizes.sum() + len(sizes))
        if self.points > self._options.most_points:
            raise InputRefusedError(
                f"the polygons have more than {self._options.most_points:,} points, more than viewers open: "
                f"raise --tolerance-um, --min-area-um2 or --level, or allow more with --most-points"
            )
        texts = ring_texts(points * self._factor, sizes)
        ends = np.cumsum(np.bincount(shapes, minlength=len(kept))).tolist()
        lines = []
        for outline, begin, end in zip(kept, [0, *ends[:-1]], ends, strict=True):
            x, y = outline.exterior[0].tolist()
            lines.append(
                f'{{"type":"Feature","id":"{_uuid(f"{self._key}/{outline.label}/{x}/{y}")}",'
                f'"geometry":{{"type":"Polygon","coordinates":[{",".join(texts[begin:end])}]}},'
                f'"properties":{self._properties[outline.label]}}}'
            )
        lead = "\n" if self.polygons == 0 else ",\n"
        self._file.write((lead + ",\n".join(lines)).encode())
        self.polygons += len(kept)


def simplified(
    points: NDArray[np.float64], sizes: NDArray[np.int64], shapes: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return rings with fewer corners, each polygon valid and its outline within the tolerance.

    `points` (n, 2) ring after ring, `sizes` points per ring, `shapes` the polygon of each ring, its
    exterior first. Method: Douglas-Peucker that keeps the topology (GEOS), each polygon on its own.
    """
    import shapely

    ring_starts = np.cumsum(sizes) - sizes
    closed = np.insert(points, np.cumsum(sizes), points[ring_starts], axis=0)
    per_shape = np.bincount(shapes)
    exact = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        closed,
        (np.concatenate([[0], np.cumsum(sizes + 1)]), np.concatenate([[0], np.cumsum(per_shape)])),
    )
    loose = shapely.simplify(exact, tolerance, preserve_topology=True)
    bad = shapely.is_empty(loose) | ~shapely.is_valid(loose) | (shapely.get_type_id(loose) != POLYGON)
    loose[bad] = exact[bad]  # never seen; an exact outline is right in any case
    _, coordinates, (ring_ends, shape_ends) = shapely.to_ragged_array(loose)
    new_sizes = np.diff(ring_ends)
    opened = np.delete(coordinates, ring_ends[1:] - 1, axis=0)
    return opened, new_sizes - 1, np.repeat(np.arange(len(loose)), np.diff(shape_ends))


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
