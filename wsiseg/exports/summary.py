"""The summary of one run: areas, composition, and what the reader must know about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wsiseg.class_map import ClassMap
from wsiseg.confidence import BINS, HIGHEST
from wsiseg.whole_files import appears_whole

Json = dict[str, Any]

UNREAD_LIMIT = 0.01
"""A run with more than this part of its tissue unread is not reported as a plain success."""
AREAS = ("no_tissue", "unread", "not_analysed")


def total_counts(counts: Iterable[Mapping[str, Any]]) -> Json:
    """Add up the counts of all blocks: `predicted` and `confidence` by class id, and each of AREAS.

    Ids are whole numbers in a block that was just computed, and text in one from a journal.
    """
    total: Json = {"predicted": {}, "confidence": {}, **dict.fromkeys(AREAS, 0)}
    for block in counts:
        for label, pixels in block["predicted"].items():
            total["predicted"][int(label)] = total["predicted"].get(int(label), 0) + pixels
        for label, said in (block.get("confidence") or {}).items():
            mine = total["confidence"].setdefault(int(label), {"total": 0, "histogram": [0] * BINS})
            mine["total"] += said["total"]
            mine["histogram"] = [a + b for a, b in zip(mine["histogram"], said["histogram"], strict=True)]
        for area in AREAS:
            total[area] += block[area]
    return total


def composition(classes: ClassMap, counts: Json, pixel_mm2: float | None) -> tuple[Json, list[Json], float]:
    """Return areas, rows per class, and the unread share of the tissue.

    Percentages are of what the network spoke for, without classes marked background. Areas are mm2,
    or pixels where `pixel_mm2` is None (a photo).
    """
    unit = "px" if pixel_mm2 is None else "mm2"

    def area(pixels: int) -> float | int:
        return pixels if pixel_mm2 is None else round(pixels * pixel_mm2, 6)

    predicted: dict[int, int] = counts["predicted"]
    everything = sum(predicted.values())
    counted = sum(predicted.get(item.id, 0) for item in classes.classes if not item.background)
    rows = []
    for item in classes.classes:
        pixels = predicted.get(item.id, 0)
        share = None if item.background or not counted else round(100 * pixels / counted, 3)
        rows.append(
            {
                "id": item.id,
                "name": item.name,
                "colour": list(item.colour),
                unit: area(pixels),
                "percent": share,
            }
        )
    areas = {"unit": unit, "predicted": area(everything), **{name: area(counts[name]) for name in AREAS}}
    for row in rows if counts["confidence"] else ():
        row["confidence"] = _confidence(counts["confidence"].get(row["id"]))
    tissue = everything + counts["unread"]
    return areas, rows, counts["unread"] / tissue if tissue else 0.0


def _confidence(said: Json | None) -> Json | None:
    """Return the mean confidence of a class, and the percentage of its pixels in each tenth of 0 to 1."""
    if said is None:
        return None
    pixels = sum(said["histogram"])
    return {
        "mean": round(said["total"] / pixels / HIGHEST, 4),
        "histogram": [round(100 * part / pixels, 3) for part in said["histogram"]],
    }


def ratios(classes: ClassMap, pixels: Mapping[int, int]) -> dict[str, float | None]:
    """Return epithelium to stroma, and the share of necrosis in percent, from pixels per class id.

    Classes take part by a word of their name ("benign epithelium" is epithelium). None where the class map
    has no such class, or where what they would be divided by is not there.
    """

    def total(word: str) -> int | None:
        ids = [item.id for item in classes.classes if word in item.name.casefold().split()]
        return sum(pixels.get(label, 0) for label in ids) if ids else None

    epithelium, stroma, necrosis = (total(word) for word in ("epithelium", "stroma", "necrosis"))
    tissue = sum(pixels.get(item.id, 0) for item in classes.classes if not item.background)
    return {
        "epithelium_to_stroma": round(epithelium / stroma, 4) if epithelium is not None and stroma else None,
        "necrosis_percent": round(100 * necrosis / tissue, 4) if necrosis is not None and tissue else None,
    }


def write_json(path: Path, content: Json) -> None:
    """Write JSON whole or not at all.

    Halves of a character, as in a file name that is no UTF-8, are written as JSON escapes.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with appears_whole(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
