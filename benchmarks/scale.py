"""Time against the slide's size: python benchmarks/scale.py [SLIDE]

Slides of 0.1 to 5 gigapixels of a real slide's encoded tiles, repeated (a phantom's where none is given),
with the same amount of tissue in each: the smallest is all tissue, the largest has it on 2 % of its area, and
elsewhere a tile of the slide's own glass.
The last two rows are one slide of `--background` gigapixels, all of it tissue and nine tenths of it
without. Each `predict` is a process of its own, as a user starts it. The time to the first tile is that at
which the trace sees the network first.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
from memory import predict
from PIL import Image
from source import Source
from tables import finished, parser, report

from wsiseg.geometry import Region

GIGAPIXELS = (0.1, 0.5, 1.0, 5.0)
LIMIT_FILES = 5000


def middle(side: int, share: float) -> Region:
    """Return a square in the middle of another."""
    inner = round(side * share**0.5)
    first = (side - inner) // 2
    return Region(first, first, inner, inner)


def write_mask(path: Path, share: float) -> None:
    """Write a mask with a square of tissue in the middle of the slide."""
    side = 2000
    mask = np.zeros((side, side), np.uint8)
    mask[middle(side, share).slices_in(Region(0, 0, side, side))] = 255
    Image.fromarray(mask).save(path)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, "scale")
    options.add_argument("slide", type=Path, nargs="?", help="JPEG-tiled slide to repeat")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("--gigapixels", type=float, nargs="+", default=GIGAPIXELS)
    options.add_argument("--background", type=float, default=2.0, help="gigapixels of the last two rows")
    given = options.parse_args()
    if finished(given):
        return
    rows = []
    smallest = min(given.gigapixels)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = Source(given.slide, folder)
        cases = [(size, smallest / size) for size in given.gigapixels]
        cases += [(given.background, 1.0), (given.background, 0.1)]
        for size, share in cases:
            side = round((size * 1e9) ** 0.5)
            mask, out = folder / "mask.png", folder / "out"
            slide = source.repeated(side, "scale.tiff", middle(side, share))
            write_mask(mask, share)
            started = time.monotonic()
            peak, seconds, summary = predict(slide, mask, out, given.model, "--trace")
            lasted = time.monotonic() - started
            account = json.loads((out / "scale.trace.json").read_text())
            line = account["timeline"]
            network = line["stages"].get("network", [])
            first = next((at for at, value in enumerate(network) if value), 0) * line["bin_seconds"]
            x, y = summary["run"]["label_mpp"]
            tissue = (summary["areas"]["predicted"] + summary["areas"]["unread"]) * 1e6 / (x * y) / 1e6
            rows.append(
                {
                    "gigapixels": size,
                    "tissue, %": 100 * share,
                    "tissue MP": tissue,
                    "seconds": seconds,
                    "seconds per tissue MP": seconds / tissue,
                    "first tile after, s": first + max(0.0, lasted - account["seconds"]),
                    "peak, GiB": peak,
                    "files": sum(item.is_file() for item in (out / summary["store"]).rglob("*")),
                }
            )
            slide.unlink()
    same = rows[:-2]
    rates = [row["seconds per tissue MP"] for row in same]
    spread = max(rates) / min(rates) - 1
    background = rows[-1]["seconds"] / rows[-2]["seconds"]
    note = (
        f"Seconds per tissue megapixel differ by {100 * spread:.0f} % from {min(given.gigapixels):g} to "
        f"{max(given.gigapixels):g} gigapixels (target 10 %). With 90 % background: {100 * background:.0f} % "
        f"of the time (target 15 %). Most files {max(row['files'] for row in rows)} (limit {LIMIT_FILES}); "
        f"largest peak {max(row['peak, GiB'] for row in rows):.2f} GiB (limit 2)."
    )
    report(given, rows, note)


if __name__ == "__main__":
    main()
