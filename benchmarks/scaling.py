"""How a batch scales: one worker against two on this machine, and the scheduler under the load of a hundred.

    python benchmarks/scaling.py                  both; minutes, on a quiet machine
    python benchmarks/scaling.py --only load      task counts, graph size, a scheduler with tasks that sleep
    python benchmarks/scaling.py --only workers   slides and blocks on 1 and 2 workers, one CPU each (Linux)

Writes docs/benchmarks/scaling.json and the measured lines of docs/scaling.md. Times are those of one
machine at one time: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from wsiseg.cohort.batch import BatchOptions, run_batch
from wsiseg.cohort.cells import Ticket
from wsiseg.cohort.clusters import SLOTS, LocalWorkers
from wsiseg.cohort.entry import CohortSlide
from wsiseg.cohort.terms import settle_terms
from wsiseg.cohort.work import SlideTask
from wsiseg.geometry import ceil_div
from wsiseg.phantom.repeated import repeat_tiles
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.pyramid.store import StoreLayout
from wsiseg.run.predict_options import PredictOptions
from wsiseg.stitching.graph import Cell, pyramid_graph

SIDE_PX = 100_000
MPP = 0.25
IMAGE_MPP = 4.0
BLOCK_PX = 2048
PAUSE_S = 2.0
"""What a block takes here on one CPU, about: 4 megapixels."""
LARGE_SIDES = 6
"""Side of the one slide that is divided into blocks, in sides of the whole ones."""
OUT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "scaling.json"
PAGE = OUT.parents[1] / "scaling.md"
MARK, END = "<!-- measured -->", "<!-- end -->"


def layout_of(label_px: int, image_px: int) -> StoreLayout:
    """Return the store of a square slide."""
    return StoreLayout(
        version="0.5",
        name="square",
        unit="micrometer",
        label_shape=(label_px, label_px),
        label_pixel=(MPP, MPP),
        image_shape=(image_px, image_px),
        image_pixel=(IMAGE_MPP, IMAGE_MPP),
        block_px=BLOCK_PX,
    )


def graph(layout: StoreLayout, do: Any, name: str = "") -> list[Any]:
    """Return all tasks of a slide that is tissue from edge to edge."""
    tasks = []
    for kind in ("label", "image"):
        levels, side = layout.levels(kind), layout.cell_px(kind)
        cells = {
            (row, column)
            for row in range(ceil_div(levels[0][0], side))
            for column in range(ceil_div(levels[0][1], side))
        }
        tasks += pyramid_graph(name + kind, levels, side, cells, set(), partial(do, kind))
    return tasks


def pause(seconds: float, ticket: Ticket, kind: str, cell: Cell) -> dict[str, Any]:
    """Stand for a cell: take its time, and return what it returns."""
    if seconds and kind == "label" and cell[0] == 0:
        time.sleep(seconds)
    counts = {"predicted": {str(label): 500_000 for label in range(8)}, "no_tissue": 0}
    return {"task": f"{kind}/{cell}", "bytes": 100_000, "counts": counts, "gate": ticket.gate.name}


def ticket() -> Ticket:
    """Return one as large as they are."""
    slide = CohortSlide(id="slide", source="slides/" + "a" * 60)
    terms = settle_terms(["tissue8-demo"], "auto", "auto", "auto")
    task = SlideTask(slide=slide, output=Path("out"), options=PredictOptions(), terms=terms)
    return Ticket(task, Path("out/slide/slide.wsiseg.ome.zarr"), Path("out/slide/work/gate-" + 32 * "a"))


def load(side_px: int, workers: int, pause_s: float) -> dict[str, Any]:
    """Return task counts and sizes of a slide, and how a scheduler copes with them."""
    from distributed import Client, LocalCluster

    layout = layout_of(side_px, round(side_px * MPP / IMAGE_MPP))
    own = ticket()
    tasks = graph(layout, partial(pause, 0.0, own))
    blocks = ceil_div(side_px, BLOCK_PX) ** 2
    found: dict[str, Any] = {
        "side_px": side_px,
        "blocks": blocks,
        "tasks": len(tasks),
        "ticket_bytes": len(pickle.dumps(own)),
        "workers": workers,
        "slots": workers * SLOTS,
        "pause_s": pause_s,
    }
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=SLOTS,
            processes=False,
            memory_limit=0,  # a share of this machine each would pause them all
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for name, seconds in (("nothing", 0.0), ("pause", pause_s)):
            started = time.perf_counter()
            futures = client.compute(
                graph(layout, partial(pause, seconds, own), f"{name}/"), optimize_graph=False
            )
            client.gather(futures)
            found[f"{name}_wall_s"] = round(time.perf_counter() - started, 2)
            del futures
    ideal = ceil_div(blocks, workers * SLOTS) * pause_s
    found["ms_per_task"] = round(1000 * found["nothing_wall_s"] / len(tasks), 3)
    found["efficiency"] = round(ideal / found["pause_wall_s"], 3)
    return found


@contextmanager
def on_cpus(count: int) -> Iterator[None]:
    """Keep this process and those that it starts to so many CPUs.

    A worker of one CPU reads while it computes: left alone, a single one takes a good part of a second CPU.
    """
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(every)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def two_workers(slides: int, side_px: int) -> dict[str, Any]:
    """Return the time of one worker over twice that of two, for whole slides and for blocks of one."""
    found: dict[str, Any] = {"slides": slides, "side_px": side_px}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        first = folder / "s0.tiff"
        write_phantom_slide(first, seed=0, width_px=side_px, height_px=side_px, mpp=0.5)
        for number in range(1, slides):
            shutil.copy(first, folder / f"s{number}.tiff")
        large = folder / "large.tif"
        repeat_tiles(first, large, LARGE_SIDES * side_px, LARGE_SIDES * side_px)
        for grain, what in (("slide", str(folder / "s*.tiff")), ("block", str(large))):
            seconds = {}
            for count in (1, 2):
                out = folder / f"{grain}-{count}"
                workers = LocalWorkers(cluster="local", workers=count, cpus=1)
                predict = PredictOptions(tissue="none")
                options = BatchOptions(predict=predict, workers=workers, grain=grain)  # type: ignore[arg-type]
                with on_cpus(count):
                    started = time.perf_counter()
                    rows = run_batch(what, out, options)
                    seconds[count] = time.perf_counter() - started
                assert {row.state for row in rows} == {"done"}, rows
            found[grain] = {
                "seconds": {str(count): round(value, 1) for count, value in seconds.items()},
                "efficiency": round(seconds[1] / (2 * seconds[2]), 3),
            }
    return found


def as_text(found: dict[str, Any]) -> str:
    """Return the lines for docs/scaling.md."""
    lines = ["| what | seconds | efficiency |", "|---|---|---|"]
    for grain, what in (("slide", "whole slides"), ("block", "blocks of one slide")):
        if "workers" in found:
            own = found["workers"][grain]
            seconds = f"{own['seconds']['1']} with 1 worker, {own['seconds']['2']} with 2"
            lines.append(f"| {what}, one CPU per worker | {seconds} | {own['efficiency']} |")
    if "load" in found:
        own = found["load"]
        what = f"{own['tasks']:,} tasks on {own['slots']} slots, blocks that sleep {own['pause_s']:g} s"
        lines.append(f"| {what} | {own['pause_wall_s']} | {own['efficiency']} |")
        lines.append(
            f"| the same tasks, doing nothing ({own['ms_per_task']} ms each) | {own['nothing_wall_s']} | |"
        )
        rate = 1000 / own["ms_per_task"]
        asked = own["workers"] / 60
        lines += [
            "",
            f"So it gives out {rate:,.0f} tasks a second and keeps {rate * own['pause_s']:,.0f} "
            f"slots busy with blocks of {own['pause_s']:g} s; {own['workers']} workers have {own['slots']}.",
            f"For whole slides of a minute, {own['workers']} workers ask for {asked:.1f} tasks a second, "
            f"{100 * asked / rate:.2g} % of that.",
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=("load", "workers"))
    parser.add_argument("--side-px", type=int, default=SIDE_PX, help="of the slide of the simulation")
    parser.add_argument("--workers", type=int, default=100, help="of the simulation")
    parser.add_argument("--pause-s", type=float, default=PAUSE_S)
    parser.add_argument("--slides", type=int, default=24)
    parser.add_argument("--slide-px", type=int, default=4096, help="of the slides for 1 and 2 workers")
    parser.add_argument("-o", "--output", type=Path, default=OUT)
    given = parser.parse_args()
    found = json.loads(given.output.read_text()) if given.output.is_file() else {}
    if given.only != "workers":
        found["load"] = load(given.side_px, given.workers, given.pause_s)
        print(json.dumps(found["load"], indent=2), flush=True)
    if given.only != "load":
        found["workers"] = two_workers(given.slides, given.slide_px)
        print(json.dumps(found["workers"], indent=2), flush=True)
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    if given.output == OUT:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(MARK)
        PAGE.write_text(
            f"{before}{MARK}\n\n{as_text(found)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
