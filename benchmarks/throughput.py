"""End-to-end `predict` against the bare network, in one run: python benchmarks/throughput.py [SLIDE].

A slide is made of the encoded tiles of a real one, repeated (a phantom where none is given), and
predicted whole, without a tissue rule. Before and after, the same runtime is called on one tile, from as
many threads as it has streams: that is the bare network. Its rate times the share of its input that becomes
labels (not halo, not beyond the slide's edge) is the most that `predict` can reach. All rates are useful
megapixels of label map per second.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from source import Source
from tables import finished, parser, report

from wsiseg import PredictOptions, load_model, segment_slide
from wsiseg.inference.runtime import KEEPER, choose_runtime, usable_cpus
from wsiseg.run.plan import HALO_PX, TILE_PX
from wsiseg.run.slide_run import MOST_STREAMS
from wsiseg.slides import open_slide


def bare_rate(runtime, tile: np.ndarray, seconds: float) -> float:
    """Return the tiles per second of a runtime that is given the same one again and again."""
    done = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal done
        while True:  # once at least, however slow the machine
            runtime.predict(tile)
            with lock:
                done += 1
            if time.monotonic() > started + seconds:
                return

    runtime.predict(tile)
    threads = [threading.Thread(target=work) for _ in range(runtime.streams)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done / (time.monotonic() - started)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, "throughput")
    options.add_argument("slide", type=Path, nargs="?", help="JPEG-tiled slide to repeat")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("--megapixels", type=float, default=40, help="of label map, of each slide")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--seconds", type=float, default=10, help="of each measurement of the bare network")
    given = options.parse_args()
    if finished(given):
        return
    model = load_model(given.model)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = Source(given.slide, folder)
        side = source.side_px(given.megapixels, model.card.mpp)
        slide = source.repeated(side)
        choice = choose_runtime()
        shape = (TILE_PX + 2 * HALO_PX,) * 2
        streams = min(MOST_STREAMS, usable_cpus())
        runtime = KEEPER.get(choice, model, shape, streams, confidence=False)  # that which predict takes
        with open_slide(slide) as opened:
            strip = opened.read_region(0, opened.levels[0].region.intersect(_square(shape[0])))
        tile = np.ascontiguousarray(np.resize(strip, (1, *shape, 3)))
        for number in range(given.repeats):
            before = bare_rate(runtime, tile, given.seconds)
            out = folder / f"out{number}"
            options = PredictOptions(model=model, tissue="none", trace=True)
            started = time.monotonic()
            result = segment_slide(slide, out, options)
            lasted = time.monotonic() - started
            after = bare_rate(runtime, tile, given.seconds)
            account = json.loads((out / "repeated.trace.json").read_text())
            label_mp = sum(_pixels(result.summary)) / 1e6
            tiles = account["stages"]["network"]["calls"]
            useful = label_mp * 1e6 / (tiles * shape[0] * shape[1])
            bare = (before + after) / 2 * label_mp / tiles
            rows.append(
                {
                    "run": number + 1,
                    "label MP": label_mp,
                    "bare network, useful MP/s": bare,
                    "predict, MP/s": label_mp / lasted,
                    "share of the bare network": label_mp / lasted / bare,
                    "streams busy": account["network"]["busy"],
                    "each source tile decoded": account["source_tiles"]["times_each"],
                }
            )
    share = float(np.median([row["share of the bare network"] for row in rows]))
    note = (
        f"{source.path.name} repeated to {side:,} x {side:,} px; {choice.name} {choice.precision}, "
        f"{runtime.streams} streams; {useful:.2f} of the network's input becomes labels. "
        f"Median share {share:.2f}; target 0.90: {'met' if share >= 0.9 else 'MISSED'}."
    )
    report(given, rows, note)


def _square(side: int):
    from wsiseg.geometry import Region

    return Region(0, 0, side, side)


def _pixels(summary: dict) -> list[float]:
    x, y = summary["run"]["label_mpp"]
    areas = summary["areas"]
    return [areas[name] * 1e6 / (x * y) for name in ("predicted", "no_tissue", "unread")]


if __name__ == "__main__":
    main()
