"""A prediction that somebody watches: it tells of each block, shows what it has, and stops when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from wsiseg.annotations.annotation import Ring
from wsiseg.geometry import Region
from wsiseg.models import Model, load_model
from wsiseg.pipeline import NOT_DIAGNOSTIC
from wsiseg.pyramid.journal import Journal, TaskLog
from wsiseg.pyramid.store import ResultStore
from wsiseg.run.output import OutputPaths
from wsiseg.run.plan import RunPlan, make_plan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult, write_result
from wsiseg.run.run_record import local_files
from wsiseg.run.slide_run import SlideRun, runtime_for
from wsiseg.run.store_run import Progress
from wsiseg.slides import open_slide, slide_id
from wsiseg.viewing.growing import GrowingLevels
from wsiseg.viewing.known_tissue import KNOWN
from wsiseg.viewing.live_run import live_streams
from wsiseg.viewing.outlined import bounds_of, outlined, region_name
from wsiseg.viewing.stoppable import StoppableSlide, check

OnStart = Callable[[RunPlan, GrowingLevels], None]
OnBlock = Callable[[Region], None]


def predict_watched(
    source: str | Path,
    output_dir: str | Path,
    options: PredictOptions,
    *,
    stop: threading.Event,
    outline: Ring | None = None,
    on_start: OnStart | None = None,
    on_block: OnBlock | None = None,
    progress: Progress | None = None,
) -> SlideResult:
    """Predict a slide as `segment_slide` does, in the same files with the same bytes.

    `outline` is a drawn region in level-0 pixels; its result is named after it. `on_start` gets the labels
    as they grow, `on_block` each finished block in label pixels, `progress` label pixels done and in all; all
    are called from the threads that work. Once `stop` is set, the next tile or read raises StoppedError, and
    the run can be resumed.
    """
    started = time.monotonic()
    with planned(source, output_dir, options, stop=stop, outline=outline) as (plan, paths):
        notice = plan.card.summary
        if "not for diagnos" not in notice.lower():
            notice = f"{notice} {NOT_DIAGNOSTIC}"

        def advance(done: int, total: int) -> None:
            check(stop)
            if progress is not None:
                progress(done, total)

        def start(store: ResultStore, journal: Journal) -> SlideRun:
            levels = GrowingLevels(store, plan.grid, done_blocks(journal))
            watch(journal, plan, levels, on_block)
            if on_start is not None:
                on_start(plan, levels)
            return _StoppableRun(plan, store, journal, advance, stop)

        return write_result(
            paths,
            plan,
            start,
            tissue=plan.tissue,
            said=said_of(plan),
            title=f"{plan.slide.name}: {plan.card.name}",
            notice=notice,
            workers=options.workers,
            overwrite=options.overwrite,
            started=started,
        )


class _StoppableRun(SlideRun):
    """Lets no tile into the network once a stop was asked for."""

    def __init__(
        self, plan: RunPlan, store: ResultStore, journal: TaskLog, progress: Progress, stop: threading.Event
    ) -> None:
        super().__init__(plan, store, journal, progress)
        self._stop = stop

    def _before_network(self, tile: Region) -> None:
        check(self._stop)


@contextmanager
def planned(
    source: str | Path,
    output_dir: str | Path,
    options: PredictOptions,
    *,
    stop: threading.Event,
    outline: Ring | None = None,
) -> Iterator[tuple[RunPlan, OutputPaths]]:
    """Open a slide and settle its run and its files; once `stop` is set, reading raises StoppedError."""
    with closing(StoppableSlide(open_slide(source), stop)) as slide:
        name = slide_id(slide.source)
        if outline is not None:
            name = f"{name}.{region_name(outline)}"
            options = replace(options, roi=bounds_of(outline))
        paths = OutputPaths.of(Path(output_dir), name)
        paths.check_apart_from(*local_files(slide))
        if options.tissue not in ("auto", "none"):
            paths.check_apart_from(Path(options.tissue))
        model = options.model if isinstance(options.model, Model) else load_model(options.model)
        check(stop)
        plan = make_plan(slide, model, options, find=partial(KNOWN.find, stop=stop))
        yield (plan if outline is None else outlined(plan, outline)), paths


def prepare(
    source: str | Path, output_dir: str | Path, options: PredictOptions, *, stop: threading.Event
) -> None:
    """Do what a run of a slide would begin with, and keep it: libraries loaded, the network compiled.

    Writes nothing. Raises what the run would raise.
    """
    with planned(source, output_dir, options, stop=stop) as (plan, _):
        check(stop)
        runtime_for(plan, live_streams(options.workers))


def said_of(plan: RunPlan) -> dict[str, str]:
    """Return what a store says beside its run record, whichever way it is made."""
    return {"model_summary": plan.card.summary, "notice": NOT_DIAGNOSTIC}


def done_blocks(journal: Journal) -> set[tuple[int, int]]:
    """Return (row, column) of the blocks of labels that a store has."""
    parts = [task.split("/") for task in journal.tasks]
    return {(int(row), int(column)) for kind, level, row, column in parts if (kind, level) == ("label", "0")}


def watch(journal: Journal, plan: RunPlan, levels: GrowingLevels, on_block: OnBlock | None) -> None:
    """Tell the levels, then the watcher, of each block that the journal says is done."""

    def told(task: str) -> None:
        kind, level, row, column = task.split("/")
        if (kind, level) == ("label", "0"):
            block = int(row), int(column)
            levels.finished(block)
            if on_block is not None:
                on_block(plan.grid.block(*block))

    journal.on_done = told
