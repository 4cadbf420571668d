"""One slide, from file to tissue label pyramid. The stages stand here in order; read this file first.

    slide file -> slides/ -> tiling/ -> inference/ -> stitching/ -> pyramid/ -> exports/
                  pixels     tiles      class ids     label map     levels      summary, overlay

`plan.py` settles a run before the first tile is read, `output.py` says who may write the result, and
`slide_run.py` has the tasks that do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg import __version__
from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.errors import EXIT_OK, EXIT_UNREAD, UsageError
from wsiseg.exports.overlay import PICTURE_PX, draw_overlay
from wsiseg.exports.summary import UNREAD_LIMIT, write_json
from wsiseg.models import Model, load_model
from wsiseg.output import OutputPaths, claim, finished_summary
from wsiseg.plan import PredictOptions, RunPlan, make_plan
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.store import ResultStore, create_store
from wsiseg.run_record import local_files
from wsiseg.slide_run import Progress, SlideRun
from wsiseg.slides import open_slide, slide_id

Json = dict[str, Any]

NOT_DIAGNOSTIC = "Not for diagnostic use."


@dataclass(frozen=True, slots=True)
class SlideResult:
    """What `segment_slide` made."""

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


def segment_slide(
    source: str | Path | NDArray[np.uint8],
    output_dir: str | Path = ".",
    options: PredictOptions | None = None,
    *,
    name: str | None = None,
    progress: Progress | None = None,
) -> SlideResult:
    """Turn a slide into a label pyramid, a summary and an overlay picture.

    `source` is a path, a URL, or an RGB array (rows, columns, 3) uint8 (which needs `name` and
    `options.slide_mpp`). `name` replaces the id that the output files are called by. Run again after
    an interruption, it goes on where it stopped and ends in the same bytes. Raises WsisegError, in one
    line, for whatever cannot be done.
    """
    options = options or PredictOptions()
    started = time.monotonic()
    folder = Path(output_dir)
    with open_slide(source) as slide:
        paths = OutputPaths.of(folder, name or slide_id(slide.source))
        paths.check_apart_from(*local_files(slide))
        if options.tissue not in ("auto", "none"):
            paths.check_apart_from(Path(options.tissue))
        model = options.model if isinstance(options.model, Model) else load_model(options.model)
        plan = make_plan(slide, model, options)
        folder.mkdir(parents=True, exist_ok=True)
        journal = claim(paths, plan.record, options.overwrite)
        if journal is None:
            summary = finished_summary(paths, plan.record)
            if summary is None:
                raise UsageError(f"{paths.store} was changed by another process: run the same command again")
            return SlideResult(paths.store, paths.summary, paths.overlay, summary, was_finished=True)
        try:
            store, resumed = _store_for(plan, paths, journal)
            run = SlideRun(plan, store, journal, progress)
            run.compute(options.workers)
            store.sweep()
            summary = _summary(plan, paths, run, resumed, time.monotonic() - started)
            rgb, labels, um_per_px = run.picture(PICTURE_PX)
            draw_overlay(
                paths.overlay,
                rgb,
                labels,
                plan.card.class_map,
                summary["classes"],
                summary["areas"],
                um_per_px,
                title=f"{slide.name}: {plan.card.name}",
                notice=summary["notice"],
                warnings=summary["warnings"],
            )
            write_json(paths.summary, summary)
        except BaseException:
            journal.close()
            raise
        journal.finish()
    return SlideResult(paths.store, paths.summary, paths.overlay, summary, was_finished=False)


def _store_for(plan: RunPlan, paths: OutputPaths, journal: Journal) -> tuple[ResultStore, int]:
    """Open the store that the journal speaks of, or create it; also return how many tasks are done."""
    if journal.created and paths.store.is_dir():
        store = ResultStore(paths.store, plan.layout)
        store.sweep()
        return store, journal.keep(lambda task, entry: store.size_of(task) == entry.get("bytes"))
    journal.begin({"record": plan.record})
    own = {
        "run": plan.record,
        "classes": [item.model_dump(mode="json") for item in plan.card.classes],
        "unread": UNREAD,
        "not_analysed": NOT_ANALYSED,
        "model_summary": plan.card.summary,
        "notice": NOT_DIAGNOSTIC,
    }
    classes = plan.card.class_map
    store = create_store(paths.store, plan.layout, classes, own, plan.tissue.cells, plan.tissue.cell_px)
    journal.store_created()
    return store, 0


def _summary(plan: RunPlan, paths: OutputPaths, run: SlideRun, resumed: int, seconds: float) -> Json:
    content = run.summarise()
    warnings = list(plan.warnings)
    if content["unread_share"]:
        warnings.append(
            f"{100 * content['unread_share']:.2f} % of the tissue could not be read: "
            f"it is marked {UNREAD} (unread), not background"
        )
    notice = plan.card.summary
    if "not for diagnos" not in notice.lower():
        notice = f"{notice} {NOT_DIAGNOSTIC}"
    return {
        "state": "finished",
        "wsiseg": __version__,
        "slide": plan.slide.name,
        "store": paths.store.name,
        **content,
        "run": plan.record,
        "warnings": warnings,
        "seconds": round(seconds, 2),
        "tasks_resumed": resumed,
        "notice": notice,
    }
