"""Aperio ImageScope's XML: layers of regions in level-0 pixels; a negative region is cut out of its layer.

Source: the files that ImageScope 12 writes (Annotations / Annotation / Regions / Region / Vertices). A
layer is called by its Name, else by its first attribute with a value, else by the region's Text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wsiseg.annotations.annotation import MOST_POINTS, Annotation, Collector, Ring, Warn, log_warning
from wsiseg.annotations.xml_reading import number, read_xml
from wsiseg.errors import InputRefusedError

POLYGON, RECTANGLE, ELLIPSE = "0", "1", "2"
"""Values of Region's Type; arrows, rulers and counters follow and are no areas."""
ELLIPSE_POINTS = 128


def read_imagescope(path: Path, warn: Warn = log_warning) -> list[Annotation]:
    """Read the areas of an ImageScope file. Raises InputRefusedError, in one line."""
    reader = _Reader(path, Collector(path, warn))
    read_xml(path, reader.start, reader.end)
    if reader.lonely_negatives:
        warn(
            f"{path.name}: {reader.lonely_negatives} negative regions in layers without others were left out"
        )
    return reader.found.finish()


class _Reader:
    def __init__(self, path: Path, found: Collector) -> None:
        self.path = path
        self.found = found
        self.lonely_negatives = 0
        self._order = 0
        self._count = 0
        self._layer = ""
        self._attribute = ""
        self._region: dict[str, str] | None = None
        self._points: list[tuple[float, float]] = []
        self._positive: list[tuple[int, str, Any]] = []
        self._negative: list[Ring] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotation":
            self._layer, self._attribute = attributes.get("Name", ""), ""
            self._positive, self._negative = [], []
        elif tag == "Attribute" and self._region is None and not self._attribute:
            self._attribute = attributes.get("Value", "")
        elif tag == "Region":
            self._region, self._points = attributes, []
        elif tag == "Vertex" and self._region is not None:
            x, y = number(attributes, "X", self.path), number(attributes, "Y", self.path)
            self._points.append((x, y))
            self._count += 1
            if self._count > MOST_POINTS:
                raise InputRefusedError(f"annotation {self.path.name}: more than {MOST_POINTS:,} points")

    def end(self, tag: str) -> None:
        if tag == "Region" and self._region is not None:
            self._end_region(self._region)
            self._region, self._points = None, []
        elif tag == "Annotation":
            self._end_layer()

    def _end_region(self, region: dict[str, str]) -> None:
        kind = region.get("Type", POLYGON)
        if kind not in (POLYGON, RECTANGLE, ELLIPSE):
            self.found.leave_out(f"region of type {kind}")
            return
        points = np.array(self._points, np.float64).reshape(-1, 2)
        if len(points) and (kind == ELLIPSE or (kind == RECTANGLE and len(points) == 2)):
            points = _in_box(points, kind)
        if region.get("NegativeROA", "0") == "1":
            ring = self.found.ring(points, self._layer)
            if ring is not None:
                self._negative.append(ring)
        else:
            name = self._layer.strip() or self._attribute.strip() or region.get("Text", "")
            self._positive.append((self._order, name, points))
        self._order += 1

    def _end_layer(self) -> None:
        if not self._positive:
            self.lonely_negatives += len(self._negative)
        low = np.array([ring.min(0) for ring in self._negative]).reshape(-1, 2)
        high = np.array([ring.max(0) for ring in self._negative]).reshape(-1, 2)
        for order, name, points in self._positive:
            cuts: list[Ring] = []
            if len(points):
                meet = ((points.min(0) <= high) & (low <= points.max(0))).all(1)
                cuts = [self._negative[index] for index in np.flatnonzero(meet)]
            self.found.add_cut(name, points, cuts, order=order)
        self._positive, self._negative = [], []


def _in_box(points: Ring, kind: str) -> Ring:
    """Return the rectangle or the ellipse in the box around its points."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    if kind == RECTANGLE:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    angle = np.arange(ELLIPSE_POINTS) * (2 * np.pi / ELLIPSE_POINTS)
    centre, radius = np.array([left + right, top + bottom]) / 2, np.array([right - left, bottom - top]) / 2
    return np.asarray(centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))
