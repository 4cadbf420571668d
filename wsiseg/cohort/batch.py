"""A whole cohort, from a list of slides to a report. Read this file first.

what -> finding/manifest -> book (who may write, how far it is) -> work, here or by a crew -> report
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.cohort.book import WHOLE, Shard, StateBook
from wsiseg.cohort.clusters import Workers, connect
from wsiseg.cohort.crew import Crew, Event, Grain
from wsiseg.cohort.entry import RESERVED_IDS, CohortSlide
from wsiseg.cohort.finding import find_slides
from wsiseg.cohort.report.index import finished, write_report
from wsiseg.cohort.staging import Staging
from wsiseg.cohort.state import SlideState, read_states
from wsiseg.cohort.terms import settle_terms
from wsiseg.cohort.work import SlideTask, do_slide
from wsiseg.errors import EXIT_OK, EXIT_SOME_FAILED, EXIT_UNREAD, UsageError
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.run_record import local_path

Json = dict[str, Any]
Say = Callable[[str], None]

HANG_S = 1800.0
MOST_ATTEMPTS = 5
"""A slide whose process died so often is not tried again by itself."""
SETTINGS = ("slide_mpp", "tissue", "ngff", "image_mpp", "confidence")
"""Options that stand in `batch.json` beside the terms; the run records have them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What a user can choose about a batch."""

    predict: PredictOptions
    """For every slide, with a model's name or file; a manifest gives slides their own mpp, region, model."""
    workers: Workers | None = None
    """Who does the work; None: this process, one slide after the other."""
    shard: Shard = WHOLE
    """Which part of the slides this process does."""
    retry_failed: bool = False
    """Also do what failed before."""
    staging: Staging | None = None
    """Copy slides to a local disk before they are read."""
    grain: Grain = "auto"
    """Whether a worker gets whole slides, or blocks of one slide after the other."""
    hang_s: float = HANG_S
    """A worker that makes no progress for so long is restarted."""


class DiskFullError(OSError):
    """No slide could be finished after this one, so none is begun."""


def run_batch(
    what: str, output: Path, options: BatchOptions, *, say: Say = lambda text: None
) -> list[SlideState]:
    """Do what is left of a cohort, write its report, and return the state of each slide of this shard.

    A slide that fails does not stop the others. Raises UsageError where the slides, settings or folder do not
    allow it, DiskFullError, or LostSchedulerError; the same command then goes on.
    """
    output = output.absolute()  # workers may stand elsewhere
    slides = find_slides(what)
    check_apart(slides, output, what)
    own = options.shard.of(slides)
    chosen, model = options.predict, str(options.predict.model)
    book = StateBook(output, options.shard)
    try:
        book.begin(slides, {"model": model, **{name: getattr(chosen, name) for name in SETTINGS}})
        todo = _left_to_do(book, own, options.retry_failed)
        say(f"{len(todo)} of {len(own)} slides to do")
        if todo:
            with _crew(options, say) as crew:
                models = {slide.model or model for slide in slides}
                terms = crew.settle_terms(models, chosen.runtime, chosen.precision, chosen.device)
                book.agree(terms)
                tasks = [
                    SlideTask(
                        slide=slide, output=output, options=chosen, terms=terms, staging=options.staging
                    )
                    for slide in todo
                ]
                _keep(book, crew.do(tasks), len(tasks), say)
    finally:
        book.close()
    if options.shard.count == 1:
        write_report(output, slides, read_states(output), model=model, say=say)
    return book.rows()


def exit_code(rows: Iterable[SlideState]) -> int:
    """Return 5 where a slide failed, 4 where more than 1 % of a slide's tissue is unread, else 0."""
    rows = list(rows)
    if any(row.state == "failed" for row in rows):
        return EXIT_SOME_FAILED
    return EXIT_UNREAD if any(row.state == "done" and row.unread for row in rows) else EXIT_OK


def check_apart(slides: list[CohortSlide], output: Path, what: str) -> None:
    """Raise UsageError where a result would be written over or into an input, its own or another's."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"the output folder {output} is a file: give a folder with -o")
    home = output.resolve()
    ours = {*RESERVED_IDS, *(slide.id for slide in slides)}
    for text in (what, *(slide.source for slide in slides)):
        path = local_path(text)
        if path is None or not path.exists():
            continue
        path = path.resolve()
        written = path.is_relative_to(home) and path != home and path.relative_to(home).parts[0] in ours
        if written or (path.is_dir() and home.is_relative_to(path) and text != what):
            raise UsageError(f"the output {home} and the input {path} overlap: give another folder with -o")


class Here:
    """This process, one slide after the other: what needs no dask."""

    settle_terms = staticmethod(settle_terms)

    def do(self, tasks: Iterable[SlideTask]) -> Iterator[Event]:
        """See `Crew.do`."""
        for task in tasks:
            yield task.slide.id, "", None
            yield task.slide.id, "", do_slide(task)


@contextmanager
def _crew(options: BatchOptions, say: Say) -> Iterator[Here | Crew]:
    if options.workers is None:
        yield Here()
        return
    with connect(options.workers) as client:
        yield Crew(client, options.hang_s, say, options.grain)


def _left_to_do(book: StateBook, slides: list[CohortSlide], retry_failed: bool) -> list[CohortSlide]:
    """Return the slides that are pending, or to be retried; `done` is believed of finished results only."""
    todo = []
    for slide in slides:
        row = book[slide.id]
        if row.state == "done" and finished(book.output, slide.id) is None:
            row = book.put(slide.id, "pending")
        if row.state == "pending" and row.attempts >= MOST_ATTEMPTS:
            reason = f"its process ended {row.attempts} times while at it: too little memory?"
            row = book.put(slide.id, "failed", reason=reason)
        if row.state == "pending" or (row.state == "failed" and retry_failed):
            todo.append(slide)
    return todo


def _keep(book: StateBook, events: Iterable[Event], count: int, say: Say) -> None:
    """Keep the book while slides are done."""
    ended = 0
    try:
        for slide, worker, outcome in events:
            row = book[slide]
            if outcome is None:
                begun = 0 if row.state == "failed" else row.attempts
                book.put(slide, "running", worker=worker, attempts=begun + 1)
                book.flush()
                continue
            if outcome.state == "no space":
                raise DiskFullError(f"{slide}: {outcome.reason}")
            if outcome.state == "unfit":
                raise UsageError(f"this process {outcome.reason}")
            ended += 1
            book.put(
                slide,
                outcome.state,
                reason=outcome.reason,
                seconds=outcome.seconds,
                unread=outcome.unread,
                worker=worker,
            )
            said = f": {outcome.reason}" if outcome.reason else f" in {outcome.seconds:.0f} s"
            say(f"[{ended}/{count}] {slide}: {outcome.state}{said}")
    finally:  # what is still running was interrupted in good order, and that does not count against it
        for row in book.rows():
            if row.state == "running":
                book.put(row.id, "pending", attempts=row.attempts - 1)
