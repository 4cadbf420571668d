"""ASAP's XML: polygons, splines and rectangles in level-0 pixels, the class in `PartOfGroup`.

Source: the files that ASAP 1.9 and 2.x write (ASAP_Annotations / Annotations / Annotation / Coordinates).
"""

from __future__ import annotations

from pathlib import Path

from wsiseg.annotations.annotation import MOST_POINTS, Annotation, Collector, Warn, log_warning
from wsiseg.annotations.xml_reading import number, read_xml
from wsiseg.errors import InputRefusedError

AREAS = ("Polygon", "Spline", "Rectangle")
"""A spline is taken as the polygon of its points; dots, point sets and measurements are no areas."""


def read_asap(path: Path, warn: Warn = log_warning) -> list[Annotation]:
    """Read the areas of an ASAP file. The name is the group's, else the annotation's own.

    Raises InputRefusedError, in one line.
    """
    reader = _Reader(path, Collector(path, warn))
    read_xml(path, reader.start, reader.end)
    return reader.found.finish()


class _Reader:
    def __init__(self, path: Path, found: Collector) -> None:
        self.path = path
        self.found = found
        self._attributes: dict[str, str] | None = None
        self._points: list[tuple[float, float, float]] = []
        self._order = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotation":
            self._attributes, self._points = attributes, []
        elif tag == "Coordinate" and self._attributes is not None:
            order = number(attributes, "Order", self.path) if "Order" in attributes else len(self._points)
            x, y = number(attributes, "X", self.path), number(attributes, "Y", self.path)
            self._points.append((order, x, y))
            if len(self._points) > MOST_POINTS:
                raise InputRefusedError(f"annotation {self.path.name}: more than {MOST_POINTS:,} points")

    def end(self, tag: str) -> None:
        if tag != "Annotation" or self._attributes is None:
            return
        kind, group = self._attributes.get("Type", ""), self._attributes.get("PartOfGroup", "")
        name = group if group not in ("", "None") else self._attributes.get("Name", "")
        if kind in AREAS:
            ring = [(x, y) for _, x, y in sorted(self._points, key=lambda point: point[0])]
            self.found.add(name, ring, order=self._order)
        else:
            self.found.leave_out(kind)
        self._order += 1
        self._attributes, self._points = None, []
