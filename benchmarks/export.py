"""Time and memory of each export beside the prediction: python benchmarks/export.py [SLIDE]

A slide of `--side` px is made of the encoded tiles of a real JPEG-tiled one (repeated; a phantom slide where
none is given) and predicted, all of it taken as tissue. Then each format is exported. Everything runs in a
process of its own, start of Python included, so the shares of small slides are too high. One run, one
machine: read the shares, not the seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import Row, finished, parser, report

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
    """Predict once, export to everything, and report."""
    options = parser(__doc__, "export")
    options.add_argument("slide", nargs="?", type=Path, help="a JPEG-tiled TIFF or SVS")
    options.add_argument("--side", type=int, default=32_000, help="of the made slide, level-0 px")
    options.add_argument("--model", default="tissue8-demo")
    chosen = options.parse_args()
    if finished(chosen):
        return
    with tempfile.TemporaryDirectory() as folder:
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
        rows: list[Row] = [_row("predict", predicted_s, predicted_s, predicted_gib, None)]
        for name, arguments in EXPORTS.items():
            target = work / "export.out"
            seconds, gib = run("export", store, *arguments, "-o", target, "-q")
            rows.append(_row(name, seconds, predicted_s, gib, target.stat().st_size))
            target.unlink()
    slow = [str(row["what"]) for row in rows[1:] if float(row["share of the prediction"] or 0) > LIMIT]
    note = (
        f"{source.name} repeated to {chosen.side:,} x {chosen.side:,} px. "
        f"Above {LIMIT:g} of the prediction: {'; '.join(slow) or 'none'}."
    )
    report(chosen, rows, note)


def _row(what: str, seconds: float, predicted_s: float, gib: float, size: int | None) -> Row:
    return {
        "what": what,
        "seconds": seconds,
        "share of the prediction": seconds / predicted_s,
        "peak, GiB": gib,
        "file, MB": None if size is None else size / 1e6,
    }


if __name__ == "__main__":
    main()
