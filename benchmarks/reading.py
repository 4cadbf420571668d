"""Reading against OpenSlide, one thread: python benchmarks/reading.py SLIDE...

Level 0 is read in squares of 1,024 px, by both in turn, several times over; the median counts. Rates are
source megapixels per second. The pixels of both are compared. For JPEG tiles, the rate of reading at 1/2, 1/4
and 1/8 is given as well, and how far a tile is from the mean of its pixels, at most.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
from tables import finished, parser, report

from wsiseg.geometry import Region
from wsiseg.slides import open_slide
from wsiseg.tiling.resample import area_mean

SQUARE_PX = 1024


def squares(width: int, height: int, side: int):
    """Yield the squares of a level, cut at its edges."""
    whole = Region(0, 0, width, height)
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield Region(x, y, side, side).intersect(whole)


def seconds(path: Path, backend: str, by: int = 1) -> float:
    """Return how long one pass over level 0 takes, on a fresh handle: nothing is in a cache of tiles."""
    with open_slide(path, backend=backend) as slide:
        level = slide.levels[0]
        started = time.perf_counter()
        for region in squares(-(-level.width_px // by), -(-level.height_px // by), SQUARE_PX // by):
            if by == 1:
                slide.read_region(0, region)
            else:
                slide.read_region_masked(0, region, by)
        return time.perf_counter() - started


def worst_tile(path: Path, by: int) -> float:
    """Return the largest mean difference of a square of 256 px, in grey levels."""
    worst = 0.0
    with open_slide(path) as slide:
        level = slide.levels[0]
        for region in squares(level.width_px // 256 * 256, level.height_px // 256 * 256, 256):
            small = Region(region.x // by, region.y // by, region.width // by, region.height // by)
            found, _ = slide.read_region_masked(0, small, by)
            expected = area_mean(slide.read_region(0, region), region, small, (float(by), float(by)))
            worst = max(worst, float(np.abs(found.astype(int) - expected).mean()))
    return worst


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, "reading")
    options.add_argument("slides", type=Path, nargs="+")
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    if finished(given):
        return
    rows = []
    for path in given.slides:
        with open_slide(path) as slide, open_slide(path, backend="openslide") as other:
            level = slide.levels[0]
            area = level.width_px * level.height_px / 1e6
            reductions = slide.reductions(0)
            equal = all(
                np.array_equal(slide.read_region(0, region), other.read_region(0, region))
                for region in squares(level.width_px, level.height_px, SQUARE_PX)
            )
        taken: dict[str, list[float]] = {"tiff": [], "openslide": []}
        for _ in range(given.repeats):
            for backend, values in taken.items():
                values.append(seconds(path, backend))
        direct, slow = (statistics.median(taken[name]) for name in ("tiff", "openslide"))
        row = {
            "slide": path.name,
            "direct, MP/s": area / direct,
            "OpenSlide, MP/s": area / slow,
            "ratio": slow / direct,
            "pixels equal": "yes" if equal else "NO",
        }
        for by in (2, 4, 8):
            usable = by in reductions
            passes = [seconds(path, "tiff", by) for _ in range(given.repeats)] if usable else []
            row[f"at 1/{by}, MP/s"] = area / statistics.median(passes) if usable else None
            row[f"worst tile at 1/{by}, grey levels"] = worst_tile(path, by) if usable else None
        rows.append(row)
    note = "Targets: 4 x OpenSlide on CMU-1-Small-Region.svs, never slower on JPEG 2000, within 1 grey level."
    report(given, rows, note)


if __name__ == "__main__":
    main()
