"""Labels to GeoJSON as QuPath reads it: polygons with holes in level-0 pixels, names, colours, UUIDs.

Areas go on across blocks: outlines follow pixel edges through the whole map. Held in memory are one strip of
labels and the outlines of areas that still go on below it. Format: QuPath's documentation of its GeoJSON
(objectType and classification inside `properties`, `id` a UUID).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.contours import Outline, trace_outlines
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports.files import NAMESPACE, whole_file
from wsiseg.exports.label_store import LabelStore

DECIMALS = 3
"""Of coordinates, where level-0 pixels per label pixel are no whole number."""
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
        for outline in trace_outlines(store.strips(options.level), wanted):
            writer.add(outline)
        file.write(b"\n]}\n")
    return GeoJsonResult(path, writer.polygons, writer.points, writer.left_out)


class _Writer:
    """Turns outlines into features, one line each."""

    def __init__(self, store: LabelStore, options: GeoJsonOptions, file: IO[bytes]) -> None:
        scale = 2**options.level
        self._store = store
        self._options = options
        self._file = file
        self._factor = np.array(store.factor_l0) * scale
        self._pixel = np.array(store.mpp or (1.0, 1.0)) * scale
        self.polygons = self.points = self.left_out = 0

    def add(self, outline: Outline) -> None:
        if outline.area_px * self._pixel.prod() < self._options.min_area:
            self.left_out += 1
            return
        rings = self._simplified([outline.exterior, *outline.holes])
        self.points += sum(len(ring) + 1 for ring in rings)
        if self.points > self._options.most_points:
            raise InputRefusedError(
                f"the polygons have more than {self._options.most_points:,} points, more than viewers open: "
                f"raise --tolerance-um, --min-area-um2 or --level, or allow more with --most-points"
            )
        item = self._store.classes.by_id(outline.label)
        x, y = (int(value) for value in outline.exterior[0])
        key = f"{self._store.identity}/{self._options.level}/{outline.label}/{x}/{y}"
        feature = {
            "type": "Feature",
            "id": str(uuid.uuid5(NAMESPACE, key)),
            "geometry": {"type": "Polygon", "coordinates": [self._coordinates(ring) for ring in rings]},
            "properties": {
                "objectType": "annotation",
                "classification": {"name": item.name, "color": list(item.colour)},
                "isLocked": False,
            },
        }
        lead = "\n" if self.polygons == 0 else ",\n"
        self._file.write((lead + json.dumps(feature, ensure_ascii=False, separators=(",", ":"))).encode())
        self.polygons += 1

    def _simplified(self, rings: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return rings with fewer corners, each within the tolerance, the polygon still valid."""
        if not self._options.tolerance:
            return rings
        import shapely

        in_um = [ring * self._pixel for ring in rings]
        polygon = shapely.simplify(
            shapely.Polygon(in_um[0], in_um[1:]), self._options.tolerance, preserve_topology=True
        )
        if polygon.is_empty or polygon.geom_type != "Polygon" or not polygon.is_valid:
            return rings  # never seen; an exact outline is right in any case
        found = [polygon.exterior, *polygon.interiors]
        return [shapely.get_coordinates(ring)[:-1] / self._pixel for ring in found]

    def _coordinates(self, ring: NDArray[Any]) -> list[list[float]]:
        """Return a closed ring in level-0 pixels, whole numbers where they are."""
        at = np.round(ring * self._factor, DECIMALS)
        whole = at.astype(np.int64)
        closed: list[list[float]] = (whole if (whole == at).all() else at).tolist()
        return [*closed, closed[0]]
