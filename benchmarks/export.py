"""Time and memory of each export beside the prediction: python benchmarks/export.py [SLIDE] [-o FOLDER].

A slide of `--side` px is made of the encoded tiles of a real JPEG-tiled one (repeated; a phantom slide where
none is given) and predicted, all of it taken as tissue. Then each format is exported. Everything runs in a
process of its own, start of Python included, so the shares of small slides are too high. One run, one
machine: read the shares, not the seconds.
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
from typing import Any

from wsiseg.phantom.repeated import repeat_tiles
from wsiseg.phantom.slide_file import write_phantom_slide

GEOJSON = ["--format", "geojson", "--most-points", "1000000000"]
EXPORTS = {
    "ome-tiff": ["--format", "ome-tiff"],
    "tiff": ["--format", "tiff"],
    "csv": ["--format", "csv"],
    "png": ["--format", "png"],
    "geojson, exact": GEOJSON,
    "geojson, exact, areas from 100 um2": [*GEOJSON, "--min-area-um2", "100"],
    "geojson, 1 um, areas from 100 um2": [*GEOJSON, "--min-area-um2", "100", "--tolerance-um", "1"],
    "geojson, 1 um, level 2": [*GEOJSON, "--tolerance-um", "1", "--level", "2"],
}
LIMIT = 0.1
"""Share of the prediction's time that an export may take."""


def run(*arguments: object) -> tuple[float, float]:
    """Run wsiseg in a child; return its seconds and peak memory in GiB."""
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "wsiseg", *map(str, arguments)])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 4):
        raise SystemExit(f"wsiseg {arguments[0]} ended with {child.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - started, usage.ru_maxrss * scale / 2**30


def main() -> None:
    """Predict once, export to everything, print a table, write export.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", nargs="?", type=Path, help="a JPEG-tiled TIFF or SVS")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmark-export"))
    parser.add_argument("--side", type=int, default=20_000, help="of the made slide, level-0 px")
    parser.add_argument("--model", default="tissue8-demo")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.output) as folder:
        work = Path(folder)
        source = chosen.slide
        if source is None:
            source = work / "phantom.tiff"
            write_phantom_slide(source, seed=1, width_px=2048, height_px=2048, mpp=0.5)
        slide = work / "made.tiff"
        repeat_tiles(source, slide, chosen.side, chosen.side)
        store = work / "made.wsiseg.ome.zarr"
        how = ["--tissue", "none", "--model", chosen.model, "-q"]
        predicted_s, predicted_gib = run("predict", slide, "-o", work, *how)
        rows: list[dict[str, Any]] = [
            {"what": "predict", "seconds": predicted_s, "share": 1.0, "gib": predicted_gib, "bytes": 0}
        ]
        for name, arguments in EXPORTS.items():
            target = work / "export.out"
            seconds, gib = run("export", store, *arguments, "-o", target, "-q")
            rows.append(
                {
                    "what": name,
                    "seconds": seconds,
                    "share": seconds / predicted_s,
                    "gib": gib,
                    "bytes": target.stat().st_size,
                }
            )
            target.unlink()
    print("| what | seconds | share of the prediction | peak, GiB | file, MB |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['what']} | {row['seconds']:.1f} | {row['share']:.3f} | {row['gib']:.2f} "
            f"| {row['bytes'] / 1e6:.1f} |"
        )
    slow = [row["what"] for row in rows[1:] if row["share"] > LIMIT]
    print(f"above {LIMIT:g} of the prediction: {', '.join(slow) or 'none'}")
    result = {"source": source.name, "side_px": chosen.side, "rows": rows}
    (chosen.output / "export.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
