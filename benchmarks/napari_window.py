"""A slide in napari's window: first picture, panning, what is in view segmented, how soon a run is cancelled.

    xvfb-run -a -s "-screen 0 1500x1100x24" \\
        .venv-napari/bin/python benchmarks/napari_window.py SLIDE [SIDE_PX]

SLIDE is a JPEG-tiled slide whose tiles are repeated into one of SIDE_PX x SIDE_PX (100,000).
`make test-napari` makes the environment. A block is a turn of the window's event loop; in "live" the view has
4 MP at the model's um/px, moves to a new place and comes to rest, and what is on the screen is looked at: the
labels of passes over the view come first, then those of the tiles, which are the ones that are stored.
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
from napari_wsiseg.camera import seen_region
from napari_wsiseg.layers import slide_layers
from napari_wsiseg.run_dock import LIVE
from wsiseg.phantom.repeated import repeat_tiles

STEPS = 200
"""Of panning: three times the tiles that are kept."""
PLACES = 4
VIEW_PX = 1990
"""Of the square that has 4 MP at the model's um/px."""
LIMIT_S = 300
LOOK_S = 10
"""For which the slide is only looked at before live: the helper gets ready meanwhile."""
PAUSE_S = 0.003
"""Between two turns of the event loop, or this loop would take a CPU from the network."""


def turn_until(condition) -> float:
    """Turn the event loop until a condition holds; return its longest turn, seconds."""
    longest, began = 0.0, time.perf_counter()
    while not condition():
        before = time.perf_counter()
        if before - began > LIMIT_S:
            raise SystemExit("gave up waiting")
        QApplication.processEvents()
        longest = max(longest, time.perf_counter() - before)
        time.sleep(PAUSE_S)
    return longest


def memory_mb() -> int:
    """Return the memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20


def measure_live(viewer, dock, slide_layer, side_um: float) -> dict[str, object]:
    """Go to new places and see how soon labels are on the screen; the model has 1 um/px."""
    began = time.perf_counter()
    dock.live.click()
    blocks = [turn_until(lambda: LIVE in viewer.layers or dock.run is None)]
    ready = time.perf_counter() - began
    layer = viewer.layers[LIVE]
    shown = layer.metadata["wsiseg"]
    viewer.scene.camera.zoom = max(viewer.canvas.size) / (VIEW_PX * shown.um_per_px[0])
    first, whole, stored = [], [], []
    for place in range(PLACES):
        at = side_um * (0.3 + 0.1 * place)
        viewer.scene.camera.center = (0.0, at, at)
        QApplication.processEvents()
        began = time.perf_counter()
        done = len(shown.levels.done)

        def on_screen():
            level = layer.data_level
            if level > 1:
                return None
            seen, (top, left) = seen_region(viewer, shown.um_per_px), layer.corner_pixels[0]
            rows = slice(max(0, (seen.y >> level) - top), (seen.bottom >> level) - top)
            columns = slice(max(0, (seen.x >> level) - left), (seen.right >> level) - left)
            return layer._slice.image.raw[rows, columns] != 255

        def some(on_screen=on_screen):
            found = on_screen()
            return found is not None and found.any()

        def all_of_it(on_screen=on_screen):
            found = on_screen()
            return found is not None and found.size > 0 and found.all()

        # What was on the screen before is gone once the layer has been drawn at the new place.
        blocks.append(turn_until(lambda: not all_of_it()))
        blocks.append(turn_until(some))
        first.append(time.perf_counter() - began)
        blocks.append(turn_until(all_of_it))
        whole.append(time.perf_counter() - began)
        blocks.append(turn_until(lambda done=done: len(shown.levels.done) > done))
        stored.append(time.perf_counter() - began)
    run = dock.run
    dock.live.click()
    blocks.append(turn_until(lambda: dock.run is not run))
    return {
        "live_ready_s": round(ready, 2),
        "live_first_labels_s": [round(value, 2) for value in first],
        "live_whole_view_s": [round(value, 2) for value in whole],
        "live_first_block_stored_s": [round(value, 2) for value in stored],
        "longest_block_live_s": round(max(blocks), 3),
    }


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
        blocks, memory = [], [memory_mb()]
        for step in range(STEPS):
            at = side * um * (0.2 + 0.6 * step / STEPS)
            before = time.perf_counter()
            viewer.scene.camera.center = (0.0, at, at)
            QApplication.processEvents()
            blocks.append(time.perf_counter() - before)
            end = before + 0.1
            blocks.append(turn_until(lambda end=end: time.perf_counter() > end))
            if (step + 1) % (STEPS // 10) == 0:
                memory.append(memory_mb())

        read = tiles.tiles_read
        looked = time.perf_counter() + LOOK_S
        turn_until(lambda: time.perf_counter() > looked)
        dock = viewer.window.dock_widgets["wsiseg segment"]
        dock.output.setText(str(folder / "results"))
        live = measure_live(viewer, dock, layer, side * um)
        dock.start.click()
        run, seen = dock.run, {}
        run.progressed.connect(lambda *_: seen.setdefault("progressed", True))
        run.stopped.connect(lambda: seen.setdefault("stopped", time.perf_counter()))
        run.failed.connect(lambda reason: seen.setdefault("progressed", reason))
        while_running = turn_until(lambda: "progressed" in seen)
        asked = time.perf_counter()
        dock.cancel.click()
        turn_until(lambda: "stopped" in seen)
        dock.end()
        viewer.close()
        print(
            json.dumps(
                {
                    "side_px": side,
                    "first_picture_s": round(first, 2),
                    "longest_block_panning_s": round(max(blocks), 3),
                    "median_block_panning_s": round(sorted(blocks)[len(blocks) // 2], 3),
                    "memory_panning_mb": memory,
                    "tiles_read_panning": read,
                    **live,
                    "longest_block_running_s": round(while_running, 3),
                    "cancel_s": round(seen["stopped"] - asked, 2),
                    "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "helper_peak_memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
                },
                indent=2,
            )
        )


if __name__ == "__main__":
    main()
