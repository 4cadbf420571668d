"""The life of one output, whatever makes its labels: claimed, computed, drawn, summarised, let go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg import __version__
from wsiseg.class_map import UNREAD
from wsiseg.errors import EXIT_OK, EXIT_UNREAD, SlideReadError, UsageError
from wsiseg.exports.overlay import PICTURE_PX, draw_overlay
from wsiseg.exports.summary import UNREAD_LIMIT, write_json
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.store import ResultStore
from wsiseg.run.output import OutputPaths, claim, finished_summary, prepare_store
from wsiseg.run.run_record import fingerprint
from wsiseg.run.store_run import StorePlan, StoreRun
from wsiseg.tiling.tissue import TissueMask

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SlideResult:
    """The files of one slide's result."""

    store: Path
    summary_path: Path
    overlay: Path
    summary: Json
    was_finished: bool
    """True where a finished result was found and left alone."""

    @property
    def exit_code(self) -> int:
        """0, or 4 where more than 1 % of the tissue could not be read."""
        return EXIT_UNREAD if self.summary["unread_share"] > UNREAD_LIMIT else EXIT_OK


def write_result(
    paths: OutputPaths,
    plan: StorePlan,
    start_run: Callable[[ResultStore, Journal], StoreRun],
    *,
    tissue: TissueMask,
    said: Json,
    title: str,
    notice: str,
    workers: int | None,
    overwrite: bool,
    started: float,
) -> SlideResult:
    """Bring an output from wherever it stands to finished; the summary, written last, says that it is.

    `said` goes into the store's attribute `wsiseg` beside the run record; `started` is of
    `time.monotonic`. Raises UsageError where the output is somebody else's.
    """
    paths.store.parent.mkdir(parents=True, exist_ok=True)
    journal = claim(paths, plan.record, overwrite)
    if journal is None:
        return finished_result(paths, plan.record)
    try:
        own = {"run": plan.record, **said}
        store, resumed = prepare_store(paths, journal, plan.layout, plan.class_map, own, tissue)
        run = start_run(store, journal)
        run.compute(workers)
        check_unchanged(plan, paths, journal)
        store.sweep()
        content = run.summarise()
        warnings = list(plan.warnings)
        if content["unread_share"]:
            warnings.append(
                f"{100 * content['unread_share']:.2f} % of the tissue could not be read: "
                f"it is marked {UNREAD} (unread), not background"
            )
        summary = {
            "state": "finished",
            "wsiseg": __version__,
            "slide": plan.slide.name,
            "store": paths.store.name,
            **content,
            "run": plan.record,
            "warnings": warnings,
            "seconds": round(time.monotonic() - started, 2),
            "tasks_resumed": resumed,
            "notice": notice,
        }
        rgb, labels, um_per_px = run.picture(PICTURE_PX)
        draw_overlay(
            paths.overlay,
            rgb,
            labels,
            plan.class_map,
            summary["classes"],
            summary["areas"],
            um_per_px,
            title=title,
            notice=notice,
            warnings=warnings,
        )
        write_json(paths.summary, summary)
    except BaseException:
        journal.close()
        raise
    journal.finish()
    return SlideResult(paths.store, paths.summary, paths.overlay, summary, was_finished=False)


def check_unchanged(plan: StorePlan, paths: OutputPaths, journal: Journal) -> None:
    """Raise SlideReadError, and keep nothing, where the slide is no longer what the run began with.

    What vanishes with its disk reads as damaged from there on: that is no damage to be kept as unread.
    """
    if plan.slide.backend == "array":
        return
    try:
        same = fingerprint(plan.slide) == plan.record["slide"]["fingerprint"]
    except OSError:
        same = False
    if not same:
        shutil.rmtree(paths.store)
        journal.finish()
        raise SlideReadError(
            f"{plan.slide.name}: changed or vanished while it was read, so nothing is kept: "
            f"see that it stays as it is, and give the same command again"
        )


def finished_result(paths: OutputPaths, record: Json) -> SlideResult:
    """Return a result that `claim` has found finished. Raises UsageError where it is there no more."""
    finished = finished_summary(paths, record)
    if finished is None:
        raise UsageError(f"{paths.store} was changed by another process: run the same command again")
    return SlideResult(paths.store, paths.summary, paths.overlay, finished, was_finished=True)
