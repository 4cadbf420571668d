"""A slide in napari's window: first picture, longest block while panning, how soon a run is cancelled.

    xvfb-run -a -s "-screen 0 1500x1100x24" \\
        .venv-napari/bin/python benchmarks/napari_window.py SLIDE [SIDE_PX]

SLIDE is a JPEG-tiled slide whose tiles are repeated into one of SIDE_PX x SIDE_PX (100,000).
`make test-napari` makes the environment. A block is a turn of the window's event loop.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from qtpy.QtWidgets import QApplication

from napari_wsiseg.__main__ import open_window
from napari_wsiseg.layers import slide_layers
from napari_wsiseg.run_dock import RunDock
from wsiseg.phantom.repeated import repeat_tiles

STEPS = 40
LIMIT_S = 300


def turn_until(condition) -> float:
    """Turn the event loop until a condition holds; return its longest turn, seconds."""
    longest, began = 0.0, time.perf_counter()
    while not condition():
        before = time.perf_counter()
        if before - began > LIMIT_S:
            raise SystemExit("gave up waiting")
        QApplication.processEvents()
        longest = max(longest, time.perf_counter() - before)
        time.sleep(0.001)
    return longest


def main() -> None:
    """Measure, and print JSON."""
    source, side = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = folder / "repeated.tiff"
        repeat_tiles(source, slide, side, side)
        viewer = open_window([])
        turn_until(lambda: True)
        began = time.perf_counter()
        viewer.open(str(slide), plugin="napari-wsiseg")
        (layer,) = slide_layers(viewer)
        tiles = layer.metadata["wsiseg"].tiles
        viewer.screenshot(canvas_only=True, flash=False)
        turn_until(lambda: tiles.is_idle)
        first = time.perf_counter() - began

        um = layer.metadata["wsiseg"].um_per_px[0]
        viewer.scene.camera.zoom = 1 / um
        blocks = []
        for step in range(STEPS):
            at = side * um * (0.2 + 0.6 * step / STEPS)
            before = time.perf_counter()
            viewer.scene.camera.center = (0.0, at, at)
            QApplication.processEvents()
            blocks.append(time.perf_counter() - before)
            end = before + 0.1
            blocks.append(turn_until(lambda end=end: time.perf_counter() > end))

        dock = RunDock(viewer)
        dock.output.setText(str(folder / "results"))
        dock.start.click()
        run, seen = dock.run, {}
        run.progressed.connect(lambda *_: seen.setdefault("progressed", True))
        run.stopped.connect(lambda: seen.setdefault("stopped", time.perf_counter()))
        run.failed.connect(lambda reason: seen.setdefault("progressed", reason))
        while_running = turn_until(lambda: "progressed" in seen)
        asked = time.perf_counter()
        dock.cancel.click()
        turn_until(lambda: "stopped" in seen)
        viewer.close()
        print(
            json.dumps(
                {
                    "side_px": side,
                    "first_picture_s": round(first, 2),
                    "longest_block_panning_s": round(max(blocks), 3),
                    "median_block_panning_s": round(sorted(blocks)[len(blocks) // 2], 3),
                    "longest_block_running_s": round(while_running, 3),
                    "cancel_s": round(seen["stopped"] - asked, 2),
                    "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                },
                indent=2,
            )
        )


if __name__ == "__main__":
    main()
