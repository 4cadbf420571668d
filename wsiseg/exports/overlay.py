"""The picture a person looks at first: the slide, the coloured label map on it, a legend and a scale bar."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, RESERVED_RGBA, UNREAD, ClassMap
from wsiseg.whole_files import appears_whole

Json = dict[str, Any]

PICTURE_PX = 1000
OPACITY = 0.5
MARGIN_PX = 24
LEGEND_PX = 330
FEW_CLASSES = 12
"""With more than these, a legend leaves out what does not occur."""
INK = (30, 30, 30)
QUIET = (110, 110, 110)
ALARM = (180, 0, 0)


def draw_overlay(
    path: Path,
    rgb: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    classes: ClassMap,
    rows: list[Json],
    areas: Json,
    um_per_px: float | None,
    title: str,
    notice: str,
    warnings: list[str],
) -> None:
    """Draw slide and overlay side by side, with a legend.

    `rgb` is (rows, columns, 3) uint8 and `labels` (rows, columns) uint8 of the same extent, in
    whatever resolution; `um_per_px` belongs to `rgb` and is None for a photo.
    """
    height, width = rgb.shape[:2]
    zoom = PICTURE_PX / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    slide = Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS)
    painted = blend(
        np.asarray(slide), np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)), classes
    )
    panels = [slide, Image.fromarray(painted)]
    wide = size[0] <= 1.6 * size[1]
    top = MARGIN_PX + 34
    if wide:
        canvas_size = (
            2 * size[0] + 4 * MARGIN_PX + LEGEND_PX,
            max(size[1], 34 * (len(classes) + 4)) + top + 3 * MARGIN_PX,
        )
        corners = [(MARGIN_PX, top), (2 * MARGIN_PX + size[0], top)]
        legend_at = (3 * MARGIN_PX + 2 * size[0], top)
    else:
        canvas_size = (size[0] + 3 * MARGIN_PX + LEGEND_PX, 2 * size[1] + top + 4 * MARGIN_PX)
        corners = [(MARGIN_PX, top), (MARGIN_PX, top + size[1] + MARGIN_PX)]
        legend_at = (2 * MARGIN_PX + size[0], top)
    legend_rows = len(rows) + sum(bool(areas[name]) for name in ("unread", "not_analysed", "no_tissue"))
    canvas_size = canvas_size[0], max(canvas_size[1], legend_at[1] + 34 * legend_rows + 3 * MARGIN_PX)
    canvas = Image.new("RGB", canvas_size, "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN_PX, MARGIN_PX - 6), title, INK, _font(22))
    for panel, corner in zip(panels, corners, strict=True):
        canvas.paste(panel, corner)
        draw.rectangle(
            [corner[0] - 1, corner[1] - 1, corner[0] + size[0], corner[1] + size[1]], outline=(200, 200, 200)
        )
    if um_per_px is not None:
        _scale_bar(draw, corners[0], size, um_per_px / zoom)
    _legend(draw, legend_at, rows, areas)
    for number, text in enumerate(reversed([*(f"Warning: {text}" for text in warnings), notice])):
        colour = QUIET if number == 0 else ALARM
        draw.text((MARGIN_PX, canvas_size[1] - MARGIN_PX - 8 - 22 * number), text, colour, _font(15))
    # One filter for all rows, and quick compression: half the time of choosing for each, for the same size.
    encoded = imagecodecs.png_encode(
        np.asarray(canvas), level=imagecodecs.PNG.COMPRESSION.SPEED + 1, filter=imagecodecs.PNG.FILTER.UP
    )
    with appears_whole(path) as temporary:
        temporary.write_bytes(encoded)


def blend(rgb: NDArray[np.uint8], labels: NDArray[np.uint8], classes: ClassMap) -> NDArray[np.uint8]:
    """Lay the class colours over a picture; both (rows, columns[, 3]) uint8.

    Background stays as it is, unread is opaque, and what was not analysed is dimmed.
    """
    colour = np.zeros((256, 3), np.float32)
    alpha = np.zeros((256, 1), np.float32)
    for item in classes.classes:
        colour[item.id] = item.colour
        alpha[item.id] = 0.0 if item.background else OPACITY
    colour[UNREAD], alpha[UNREAD] = RESERVED_RGBA[UNREAD][:3], 1.0
    colour[NOT_ANALYSED], alpha[NOT_ANALYSED] = (190, 190, 190), 0.6
    weight = alpha[labels]
    return np.asarray(rgb * (1 - weight) + colour[labels] * weight + 0.5).astype(np.uint8)


def _legend(draw: ImageDraw.ImageDraw, at: tuple[int, int], rows: list[Json], areas: Json) -> None:
    x, y = at
    unit = areas["unit"]
    entries = [
        (tuple(row["colour"]), row["name"], row[unit], row["percent"])
        for row in rows
        if row[unit] or (row["percent"] is not None and len(rows) <= FEW_CLASSES)
    ]
    reserved = {"unread": UNREAD, "not_analysed": NOT_ANALYSED}
    for name, label in reserved.items():
        if areas[name]:
            entries.append(
                (
                    RESERVED_RGBA[label][:3] if label == UNREAD else (190, 190, 190),
                    RESERVED_NAMES[label],
                    areas[name],
                    None,
                )
            )
    if areas["no_tissue"]:
        entries.append(((255, 255, 255), "no tissue (not looked at)", areas["no_tissue"], None))
    for colour, name, area, percent in entries:
        draw.rectangle([x, y, x + 22, y + 22], fill=colour, outline=(150, 150, 150))
        draw.text((x + 32, y - 2), str(name), INK, _font(16))
        amount = f"{area:.3f} mm2" if unit == "mm2" else f"{area:,} px"
        draw.text(
            (x + 32, y + 14), amount if percent is None else f"{percent:.1f} %   {amount}", QUIET, _font(12)
        )
        y += 34


def _scale_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: tuple[int, int], um_per_px: float
) -> None:
    wish = um_per_px * size[0] / 4
    power = 10 ** math.floor(math.log10(wish))
    length_um = max((step * power for step in (1, 2, 5) if step * power <= wish), default=power)
    length_px = round(length_um / um_per_px)
    x, y = corner[0] + 16, corner[1] + size[1] - 22
    text = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} um"
    draw.rectangle([x - 8, y - 24, x + max(length_px, 60) + 8, y + 12], fill="white")
    draw.rectangle([x, y, x + length_px, y + 5], fill=INK)
    draw.text((x, y - 22), text, INK, _font(15))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
