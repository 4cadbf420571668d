"""QuPath's GeoJSON: polygons in level-0 pixels, the class in `properties.classification.name`.

Source: QuPath's documentation of its GeoJSON export (0.2 to 0.5), and RFC 7946 for the geometries.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from wsiseg.annotations.annotation import UNNAMED, Annotation, Collector, Warn, log_warning
from wsiseg.errors import InputRefusedError

LARGEST_BYTES = 300_000_000
"""Of the text, unpacked: as Python objects, coordinates take about seven times as much."""


def read_geojson(path: Path, warn: Warn = log_warning) -> list[Annotation]:
    """Read Polygon and MultiPolygon features of a .geojson, .json or .geojson.gz file.

    Points and lines are left out with a warning. Raises InputRefusedError, in one line.
    """
    document = _parse(path)
    found = Collector(path, warn)
    for order, (name, geometry) in enumerate(_geometries(document, path)):
        kind, coordinates = geometry.get("type"), geometry.get("coordinates")
        if kind not in ("Polygon", "MultiPolygon"):
            found.leave_out(str(kind))
            continue
        polygons = [coordinates] if kind == "Polygon" else coordinates
        if not isinstance(polygons, list):
            raise InputRefusedError(f"annotation {path.name}: a {kind} without coordinates: damaged")
        for rings in polygons:
            if not isinstance(rings, list):
                raise InputRefusedError(f"annotation {path.name}: a {kind} is not a list of rings: damaged")
            if rings:
                found.add(name, rings[0], rings[1:], order=order)
    return found.finish()


def _parse(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise InputRefusedError(
                f"annotation {path.name}: more than {LARGEST_BYTES // 10**6} MB of text: simplify or split it"
            )
        return json.loads(text, parse_constant=_refuse_constant)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise InputRefusedError(f"annotation {path.name}: cannot be read as GeoJSON: {error}") from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"a coordinate is {text}, expected finite numbers")


def _geometries(document: Any, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (class name, geometry) of everything in the document, in its order."""
    found: list[tuple[str, dict[str, Any]]] = []
    waiting: list[tuple[str, Any]] = [(UNNAMED, document)]
    seen: Counter[str] = Counter()
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, list):  # QuPath also writes a bare list of features
            waiting.extend((name, item) for item in reversed(node))
            continue
        if not isinstance(node, dict):
            continue
        kind = node.get("type")
        seen[str(kind)[:40]] += 1
        if kind == "FeatureCollection":
            waiting.append((name, node.get("features")))
        elif kind == "Feature":
            waiting.append((_class_name(node.get("properties")), node.get("geometry")))
        elif kind == "GeometryCollection":
            waiting.append((name, node.get("geometries")))
        elif "coordinates" in node:
            found.append((name, node))
    if not found:
        kinds = ", ".join(sorted(seen)[:5]) or "nothing"
        raise InputRefusedError(
            f"annotation {path.name}: no GeoJSON feature with a geometry (found {kinds}): "
            f"expected a FeatureCollection"
        )
    return found


def _class_name(properties: Any) -> str:
    """Return the class of a feature: QuPath's classification, else the object's own name."""
    if not isinstance(properties, dict):
        return UNNAMED
    given = properties.get("classification")
    if isinstance(given, dict):
        names = given.get("names")
        if isinstance(given.get("name"), str):
            return str(given["name"])
        if isinstance(names, list) and names and all(isinstance(part, str) for part in names):
            return ": ".join(names)  # how QuPath shows a derived class
    elif isinstance(given, str):
        return given
    own = properties.get("name")
    return own if isinstance(own, str) else UNNAMED
