"""Peak memory of `wsiseg evaluate` on a labelled region: python benchmarks/regions.py [--sizes WxH ...].

A region is made of generated tissue, repeated, in two PNGs of three channels as the breast biopsy data have
them. Each is scored in a process of its own, at full size and with the network seeing it four times
smaller; its peak resident memory is what the system accounts for it. It should not grow with the region.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from wsiseg.phantom.generate import generate_phantom

SIZES_PX = ("2500x3000", "5000x6000", "10000x12000", "20000x24000")
SCALES = (1.0, 4.0)
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "evaluate_breast.yaml"
TISSUE_PX = 1024


def write_region(folder: Path, width_px: int, height_px: int) -> None:
    """Write rgb.png, label.png and val.txt; the generated tissue is repeated over the region."""
    Image.MAX_IMAGE_PIXELS = None
    made = generate_phantom(1, TISSUE_PX, TISSUE_PX, 1.0)
    labels = np.repeat(made.labels[..., None], 3, axis=2)
    times = (-(-height_px // TISSUE_PX), -(-width_px // TISSUE_PX), 1)
    for name, tile in (("rgb", made.rgb), ("label", labels)):
        whole = np.tile(tile, times)[:height_px, :width_px]
        Image.fromarray(whole).save(folder / f"{name}.png", compress_level=1)
    (folder / "val.txt").write_text("rgb.png, label.png, 1\n", encoding="utf-8")


def evaluate(folder: Path, model: str, scale: float) -> tuple[float, float, float]:
    """Score in a child; return its peak memory in GiB, seconds, and the pixel accuracy."""
    command = [sys.executable, "-m", "wsiseg", "evaluate", str(CONFIG), "--json"]
    settings = (f"data.root={folder}", f"data.scale={scale}", f"model.checkpoint={model}", "worst_cases=0")
    for setting in settings:
        command += ["--set", setting]
    started = time.monotonic()
    with tempfile.TemporaryFile() as stdout:
        child = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"evaluate ended with {child.returncode}")
        stdout.seek(0)
        result = json.load(stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 2**30, time.monotonic() - started, result["pixel_accuracy"]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="tissue8-demo")
    parser.add_argument("--sizes", nargs="+", default=SIZES_PX, metavar="WxH", help="regions, px")
    given = parser.parse_args()
    print(f"{'region px':>15} {'MP':>6} {'scale':>6} {'peak GiB':>9} {'seconds':>8} {'accuracy':>9}")
    for size in given.sizes:
        width_px, height_px = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as scratch:
            write_region(Path(scratch), width_px, height_px)
            for scale in SCALES:
                peak, seconds, accuracy = evaluate(Path(scratch), given.model, scale)
                measured = f"{peak:>9.2f} {seconds:>8.1f} {accuracy:>9.3f}"
                print(f"{size:>15} {width_px * height_px / 1e6:>6.0f} {scale:>6g} {measured}", flush=True)


if __name__ == "__main__":
    main()
