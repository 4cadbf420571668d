"""One slide, from file to tissue label pyramid. The stages stand here in order; read this file first.

    slide file -> slides/ -> tiling/ -> inference/ -> stitching/ -> pyramid/ -> exports/
                  pixels     tiles      class ids     label map     levels      summary, overlay

`plan.py` settles a run before the first tile is read, `output.py` says who may write the result, and
`store_run.py` and `slide_run.py` have the tasks that do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.exports.summary import write_json
from wsiseg.exports.trace_picture import draw_trace
from wsiseg.models import Model, load_model
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.store import ResultStore
from wsiseg.run.output import OutputPaths
from wsiseg.run.plan import RunPlan, make_plan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult, write_result
from wsiseg.run.run_record import local_files
from wsiseg.run.slide_run import SlideRun
from wsiseg.run.store_run import Progress
from wsiseg.slides import open_slide, slide_id
from wsiseg.trace import NO_TRACE, Trace

NOT_DIAGNOSTIC = "Not for diagnostic use."


def segment_slide(
    source: str | Path | NDArray[np.uint8],
    output_dir: str | Path = ".",
    options: PredictOptions | None = None,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    make_run: Callable[[RunPlan, ResultStore, Journal, Progress | None], SlideRun] = SlideRun,
) -> SlideResult:
    """Turn a slide into a label pyramid, a summary and an overlay picture.

    `source` is a path, a URL, or an RGB array (rows, columns, 3) uint8 (which needs `name` and
    `options.slide_mpp`). `name` replaces the id that the output files are called by. Run again after
    an interruption, it goes on where it stopped and ends in the same bytes. `make_run` says who does the
    tasks: this process, unless a cohort spreads them. Raises WsisegError, in one line, for whatever
    cannot be done.
    """
    options = options or PredictOptions()
    started = time.monotonic()
    folder = Path(output_dir)
    with open_slide(source) as slide:
        paths = OutputPaths.of(folder, name or slide_id(slide.source))
        paths.check_apart_from(*local_files(slide))
        if options.tissue not in ("auto", "none"):
            paths.check_apart_from(Path(options.tissue))
        trace = Trace() if options.trace else NO_TRACE
        slide.trace = trace
        with trace.span("plan"):
            model = options.model if isinstance(options.model, Model) else load_model(options.model)
            plan = make_plan(slide, model, options)
        notice = plan.card.summary
        if "not for diagnos" not in notice.lower():
            notice = f"{notice} {NOT_DIAGNOSTIC}"
        result = write_result(
            paths,
            plan,
            lambda store, journal: make_run(plan, store, journal, progress),
            tissue=plan.tissue,
            said={"model_summary": plan.card.summary, "notice": NOT_DIAGNOSTIC},
            title=f"{slide.name}: {plan.card.name}",
            notice=notice,
            workers=options.workers,
            overwrite=options.overwrite,
            started=started,
        )
    if isinstance(trace, Trace) and not result.was_finished:
        account = trace.account()
        write_json(paths.trace.with_suffix(".json"), account)
        draw_trace(paths.trace, account, f"{result.summary['slide']}: {plan.card.name}")
    return result
