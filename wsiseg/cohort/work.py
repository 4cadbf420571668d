"""One slide of a cohort, from whatever state its folder is in to finished, in whatever process."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from wsiseg.cohort.entry import CohortSlide
from wsiseg.cohort.report.page import write_page
from wsiseg.cohort.staging import Staging, staged
from wsiseg.cohort.terms import UnfitWorkerError, check_terms, model_of
from wsiseg.cohort.text import one_line
from wsiseg.errors import EXIT_UNREAD, OutputBusyError, WsisegError
from wsiseg.pipeline import segment_slide
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult
from wsiseg.run.slide_run import SlideRun
from wsiseg.run.store_run import Progress

Json = dict[str, Any]
MakeRun = Callable[..., SlideRun]
BUSY_S = 120.0
NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class LostSchedulerError(WsisegError):
    """The scheduler went away; what its workers wrote counts."""

    def __init__(self) -> None:
        super().__init__("the scheduler was lost; the same command goes on from here")


@contextmanager
def scheduler_watched(client: Any) -> Iterator[None]:
    """Raise LostSchedulerError for what fails only because a dask client has no scheduler any more."""
    try:
        yield
    except WsisegError:
        raise
    except CancelledError as error:  # nobody here cancels what is waited for
        raise LostSchedulerError from error
    except Exception as error:
        from distributed.client import ClosedClientError
        from distributed.comm import CommClosedError

        if client.status == "running" and not isinstance(error, (CommClosedError, ClosedClientError)):
            raise
        raise LostSchedulerError from error


def workers_of(client: Any) -> Json:
    """Return what the scheduler knows of its workers, by their addresses.

    Raises CommClosedError where the client has lost it: dask then answers with nothing.
    """
    from distributed.comm import CommClosedError

    known: Json | None = client.scheduler_info(n_workers=-1).get("workers")
    if known is None:
        raise CommClosedError("the scheduler is gone")
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideTask:
    """Everything that a process has to know to do one slide."""

    slide: CohortSlide
    output: Path
    """Of the batch; the slide's results go into a folder of its own in it."""
    options: PredictOptions
    terms: Json
    staging: Staging | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a slide."""

    state: Literal["done", "failed", "unfit", "no space"]
    """unfit: the worker would not keep to the terms; no space: the disk is full."""
    reason: str = ""
    seconds: float = 0.0
    unread: bool = False
    """Done, but more than 1 % of the tissue could not be read."""


def do_slide(task: SlideTask, progress: Progress | None = None, make_run: MakeRun = SlideRun) -> Outcome:
    """Segment one slide and draw its page; whatever goes wrong becomes an outcome with one line."""
    started = time.monotonic()
    folder = task.output / task.slide.id
    model = task.slide.model or str(task.options.model)
    try:
        check_terms(task.terms)
        with (
            staged(task.slide.source, task.staging)
            if task.staging
            else nullcontext(task.slide.source) as source
        ):
            result = _once_free(source, folder, task, progress, make_run)
        write_page(folder, result.summary, source=task.slide.source, model=model)
    except UnfitWorkerError as error:
        return Outcome(state="unfit", reason=one_line(str(error)))
    except LostSchedulerError:
        raise
    except Exception as error:  # whatever a library raises over a damaged file: the other slides go on
        full = isinstance(error, OSError) and error.errno in NO_SPACE
        return Outcome(
            state="no space" if full else "failed",
            reason=_reason(error),
            seconds=round(time.monotonic() - started, 2),
        )
    return Outcome(
        state="done",
        seconds=round(time.monotonic() - started, 2),
        unread=result.exit_code == EXIT_UNREAD,
    )


def _once_free(
    source: str, folder: Path, task: SlideTask, progress: Progress | None, make_run: MakeRun
) -> SlideResult:
    """Segment the slide; where a process that lost its batch is still at it, wait until it has let go."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return segment_slide(
                source, folder, options_of(task), name=task.slide.id, progress=progress, make_run=make_run
            )
        except OutputBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def options_of(task: SlideTask) -> PredictOptions:
    """Return the batch's options with what the slide has of its own, and the terms' runtime by name."""
    slide, runtime = task.slide, task.terms["runtime"]
    return replace(
        task.options,
        model=model_of(slide.model or str(task.options.model)),
        slide_mpp=slide.slide_mpp or task.options.slide_mpp,
        roi=slide.roi,
        runtime=runtime["name"],
        precision=runtime["precision"],
        device=runtime["device"],
    )


def _reason(error: Exception) -> str:
    text = one_line(str(error))
    return text if isinstance(error, WsisegError | OSError) and text else f"{type(error).__name__}: {text}"
