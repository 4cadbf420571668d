"""Peak memory of `wsiseg predict` against the slide's size: python benchmarks/memory.py [SLIDE] [-o FOLDER].

A 100,000 x 100,000 px pyramid, and one of four times its area, are made of the encoded tiles of a real
JPEG-tiled slide (repeated, never encoded again; a phantom slide where none is given). Each is predicted
with a tissue mask of 2 % of its area, in a process of its own; its peak resident memory is what the
system accounts for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from source import Source
from tables import finished, parser, report

SIDES_PX = (25_000, 50_000, 100_000, 200_000)
TISSUE_SHARE = 0.02
LIMIT_GIB = 2.0


def write_mask(path: Path, seed: int = 0) -> float:
    """Write a mask with round spots of tissue over TISSUE_SHARE of the slide; return the share."""
    random = np.random.default_rng(seed)
    side = 1000
    rows, columns = np.mgrid[:side, :side]
    mask = np.zeros((side, side), bool)
    while mask.mean() < TISSUE_SHARE:
        x, y, radius = [*random.uniform(0.1, 0.9, 2).tolist(), random.uniform(0.01, 0.03)]
        mask |= (rows / side - y) ** 2 + (columns / side - x) ** 2 < radius**2
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return float(mask.mean())


def predict(
    slide: Path, mask: Path, out: Path, model: str, *more: str
) -> tuple[float, float, dict[str, Any]]:
    """Predict in a child; return its peak memory in GiB, seconds, and the summary."""
    command = [
        sys.executable,
        "-m",
        "wsiseg",
        "predict",
        str(slide),
        "-o",
        str(out),
        "--json",
        "-q",
        "--model",
        model,
    ]
    started = time.monotonic()
    with tempfile.TemporaryFile() as stdout:
        child = subprocess.Popen([*command, "--tissue", str(mask), "--overwrite", *more], stdout=stdout)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"predict ended with {child.returncode}")
        stdout.seek(0)
        summary = json.load(stdout)
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * scale / 2**30, time.monotonic() - started, summary


def main() -> None:
    """Measure and print a table."""
    options = parser(__doc__, "memory")
    options.add_argument("slide", type=Path, nargs="?", help="JPEG-tiled slide to repeat")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("-o", "--output", type=Path, help="keep slides and results here")
    options.add_argument("--sides", type=int, nargs="+", default=SIDES_PX, help="level-0 sides in px")
    given = options.parse_args()
    if finished(given):
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.output or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        source = Source(given.slide, folder)
        mask = folder / "mask.png"
        share = write_mask(mask)
        rows = []
        for side in given.sides:
            slide = source.repeated(side, f"repeated-{side}.tiff")
            peak, seconds, summary = predict(slide, mask, folder / "out", given.model)
            predicted = summary["areas"]["predicted"] / float(np.prod(summary["run"]["label_mpp"]))
            rows.append(
                {
                    "level-0 side, px": side,
                    "gigapixels": side * side / 1e9,
                    "label megapixels predicted": predicted,
                    "peak, GiB": peak,
                    "seconds": seconds,
                    "files in the store": sum(
                        item.is_file() for item in (folder / "out" / summary["store"]).rglob("*")
                    ),
                }
            )
            slide.unlink()
    largest = max(row["peak, GiB"] for row in rows)
    verdict = "met" if largest < LIMIT_GIB else "MISSED"
    note = (
        f"Tiles of {source.path.name}, repeated; {100 * share:.1f} % of the area is tissue. "
        f"Largest peak {largest:.2f} GiB; limit {LIMIT_GIB:g} GiB: {verdict}."
    )
    report(given, rows, note)


if __name__ == "__main__":
    main()
