"""A tissue mask that the user gives: an image over the whole slide, or GeoJSON polygons in level-0 pixels."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides.slide import Level
from wsiseg.tiling.frame import Frame
from wsiseg.tiling.tissue import PIXELS_PER_CELL, TissueMask, cell_px_for, cell_shape

ASPECT_TOLERANCE = 0.05
LARGEST_IMAGE_PX = 200_000_000
LARGEST_FILE_BYTES = 500_000_000
MOST_POINTS = 20_000_000
NUMBER_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L")
"""Pillow's image modes whose pixels are one number each."""


def read_tissue_file(path: Path, level_0: Level, label_frame: Frame) -> TissueMask:
    """Read a mask file onto the cells of a label frame.

    An image (PNG, TIFF...: any size, the slide's aspect) has tissue where it is not 0; GeoJSON has
    tissue inside its polygons. Raises InputRefusedError in one line.
    """
    if not path.is_file():
        raise InputRefusedError(f"tissue mask {path}: no such file; give an image, a .geojson, auto or none")
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise InputRefusedError(
            f"tissue mask {path.name}: larger than {LARGEST_FILE_BYTES // 10**6} MB; use a coarser one"
        )
    cell_px = cell_px_for(label_frame.mpp)
    rows, columns = cell_shape(label_frame, cell_px)
    if path.suffix.lower() in (".geojson", ".json"):
        fine = _from_geojson(path, label_frame, cell_px, rows, columns)
        cells: NDArray[np.bool_] = np.logical_or.reduce(
            fine.reshape(rows, PIXELS_PER_CELL, columns, PIXELS_PER_CELL), axis=(1, 3)
        )
    else:
        cells = _from_image(path, level_0, label_frame, cell_px, rows, columns)
    return TissueMask(cells, cell_px)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_image(
    path: Path, level_0: Level, frame: Frame, cell_px: int, rows: int, columns: int
) -> NDArray[np.bool_]:
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > LARGEST_IMAGE_PX:
                raise InputRefusedError(
                    f"tissue mask {path.name}: {width} x {height} px is more than needed; use a coarser one"
                )
            # Not through 8 bits where the file has more: 0.5 and 256 are not 0.
            pixels = np.asarray(image if image.mode in NUMBER_MODES else image.convert("RGB"))
            mask: NDArray[np.bool_] = pixels != 0 if pixels.ndim == 2 else pixels.max(2) != 0
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputRefusedError(f"tissue mask {path.name}: cannot be read as an image: {error}") from error
    aspect = (width / height) / (level_0.width_px / level_0.height_px)
    if not 1 / (1 + ASPECT_TOLERANCE) <= aspect <= 1 + ASPECT_TOLERANCE and min(width, height) > 20:
        raise InputRefusedError(
            f"tissue mask {path.name}: {width} x {height} px does not have the slide's aspect "
            f"({level_0.width_px} x {level_0.height_px}); give a mask of the whole slide"
        )
    # A cell has tissue where any mask pixel that it touches has.
    x0, x1 = _spans(columns, cell_px, frame.width_px, width)
    y0, y1 = _spans(rows, cell_px, frame.height_px, height)
    found = np.zeros((rows, columns), bool)
    for row in range(rows):
        before = np.concatenate(([0], mask[y0[row] : y1[row]].any(0).cumsum()))
        found[row] = before[x1] > before[x0]
    return found


def _spans(
    count: int, cell_px: int, label_px: int, mask_px: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the last-plus-one mask pixel that each cell touches along one axis."""
    edges = np.minimum(np.arange(count + 1) * cell_px, label_px) * (mask_px / label_px)
    first = np.floor(edges[:-1] + 1e-9).astype(np.intp)
    last = np.ceil(edges[1:] - 1e-9).astype(np.intp)
    return np.minimum(first, mask_px - 1), np.clip(last, first + 1, mask_px)


def _from_geojson(path: Path, frame: Frame, cell_px: int, rows: int, columns: int) -> NDArray[np.bool_]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputRefusedError(f"tissue mask {path.name}: not valid GeoJSON: {error}") from error
    step = cell_px / PIXELS_PER_CELL
    per_l0 = (1 / (frame.factor_l0[0] * step), 1 / (frame.factor_l0[1] * step))
    width, height = columns * PIXELS_PER_CELL, rows * PIXELS_PER_CELL
    found = np.zeros((height, width), bool)
    points = 0
    polygons = list(_polygons(document))
    if not polygons:
        raise InputRefusedError(
            f"tissue mask {path.name}: holds no polygon; expected Polygon or MultiPolygon features"
        )
    for rings in polygons:
        outlines = [_corners(ring, path.name, per_l0) for ring in rings]
        points += sum(len(corners) for corners in outlines)
        if points > MOST_POINTS:
            raise InputRefusedError(f"tissue mask {path.name}: more than {MOST_POINTS} points; simplify it")
        # Drawn in its own box: there may be a hundred thousand of them.
        box = _box([corner for corners in outlines for corner in corners]).intersect(
            Region(0, 0, width, height)
        )
        if not box.area:
            continue
        layer = Image.new("1", (box.width, box.height))
        draw = ImageDraw.Draw(layer)
        for number, corners in enumerate(outlines):
            shifted = [(x - box.x, y - box.y) for x, y in corners]
            draw.polygon(shifted, fill=int(number == 0), outline=1)
        found[box.slices_in(Region(0, 0, width, height))] |= np.asarray(layer)
    return found


def _box(corners: list[tuple[float, float]]) -> Region:
    """Return the whole pixels that lines between these points can touch."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    x, y = math.floor(min(xs)) - 1, math.floor(min(ys)) - 1
    return Region(x, y, math.ceil(max(xs)) + 2 - x, math.ceil(max(ys)) + 2 - y)


def _polygons(node: Any) -> list[Any]:
    """Return the coordinate arrays of all polygons in a GeoJSON document, one list of rings each."""
    found: list[Any] = []
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            kind = item.get("type")
            if kind == "Polygon":
                found.append(item.get("coordinates"))
            elif kind == "MultiPolygon" and isinstance(item.get("coordinates"), list):
                found.extend(item["coordinates"])
            else:
                waiting.extend(item.get(key) for key in ("features", "geometry", "geometries"))
    return [rings for rings in found if isinstance(rings, list) and rings]


def _corners(ring: Any, name: str, per_l0: tuple[float, float]) -> list[tuple[float, float]]:
    try:
        corners = [(float(point[0]) * per_l0[0], float(point[1]) * per_l0[1]) for point in ring]
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise InputRefusedError(f"tissue mask {name}: a ring is not a list of [x, y] points") from error
    if len(corners) < 3 or not all(
        math.isfinite(value) and abs(value) < 1e9 for xy in corners for value in xy
    ):
        raise InputRefusedError(
            f"tissue mask {name}: a ring has fewer than 3 points or a point that is not finite"
        )
    return corners
