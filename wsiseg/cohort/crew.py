"""Slides done by dask workers: submitted a few ahead, watched while they run, moved when a worker dies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic, monotonic_ns
from typing import Any, Literal

from wsiseg.cohort.clusters import SLIDE
from wsiseg.cohort.spread import SpreadRun
from wsiseg.cohort.terms import settle_terms
from wsiseg.cohort.text import one_line
from wsiseg.cohort.work import Outcome, SlideTask, do_slide, scheduler_watched, workers_of
from wsiseg.errors import UsageError

TOPIC = "wsiseg"
TELL_S = 5.0
AHEAD = 4
"""Slides submitted per worker: the scheduler has to know few of many thousands."""
MOST_UNFIT = 20
MOST_HANGS = 2
POLL_S = 0.5
RESTART_S = 60.0

Grain = Literal["auto", "slide", "block"]
"""What a worker gets: a slide, or a block of one; auto spreads where there are fewer slides than workers."""
Event = tuple[str, str, Outcome | None]
"""Slide id, worker, and its outcome; None when it was begun."""


class Crew:
    """The workers behind a dask client, as what does slides."""

    def __init__(
        self, client: Any, hang_s: float, warn: Callable[[str], None], grain: Grain = "slide"
    ) -> None:
        self._client = client
        self._hang_s = hang_s
        self._warn = warn
        self._grain = grain
        self._beats: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._running: dict[str, tuple[str, float]] = {}
        """Slide: its worker, and when that was last heard of."""
        self._hangs: dict[str, int] = {}
        self._unfit = 0

    def settle_terms(self, models: Iterable[str], runtime: str, precision: str, device: str) -> Any:
        """Return the terms as the first worker that comes finds them."""
        with scheduler_watched(self._client):
            self._client.wait_for_workers(1)
            future = self._client.submit(
                settle_terms, sorted(set(models)), runtime, precision, device, pure=False
            )
            return future.result()

    def do(self, tasks: Sequence[SlideTask]) -> Iterator[Event]:
        """Yield an event when a slide begins and when it ends.

        Raises UsageError where no worker is fit, LostSchedulerError where the scheduler went away.
        """
        with scheduler_watched(self._client):
            few = self._grain == "auto" and len(tasks) < self._workers()
            yield from self._spread(tasks) if few or self._grain == "block" else self._whole(tasks)

    def _spread(self, tasks: Iterable[SlideTask]) -> Iterator[Event]:
        """Do one slide after the other, each by all workers."""
        for task in tasks:
            yield task.slide.id, "", None
            make_run = partial(
                SpreadRun, task=task, client=self._client, hang_s=self._hang_s, warn=self._warn
            )
            outcome = do_slide(task, make_run=make_run)
            if outcome.state == "unfit":
                raise UsageError(outcome.reason)
            yield task.slide.id, f"{self._workers()} workers", outcome

    def _whole(self, tasks: Iterable[SlideTask]) -> Iterator[Event]:
        """Give each slide to one worker."""
        self._client.subscribe_topic(TOPIC, self._heard)
        waiting = iter(tasks)
        pending: dict[Any, SlideTask] = {}
        limit = self._slides_at_once()
        while True:
            while (
                len(pending) < AHEAD * max(1, self._workers()) and (task := next(waiting, None)) is not None
            ):
                pending[self._submit(task, limit)] = task
            if not pending:
                return
            for future in self._ended(pending):
                task = pending.pop(future)
                outcome, worker = self._outcome(future, task)
                yield from self._begun()
                self._running.pop(task.slide.id, None)
                if outcome.state == "unfit":
                    self._refuse(worker, outcome.reason)
                    pending[self._submit(task, limit)] = task
                else:
                    yield task.slide.id, worker, outcome
            yield from self._begun()
            yield from self._restart_hung(pending)

    def _submit(self, task: SlideTask, limit: dict[str, int]) -> Any:
        return self._client.submit(
            _do_on_worker, task, key=f"{task.slide.id}-{monotonic_ns()}", pure=False, resources=limit
        )

    def _ended(self, pending: dict[Any, SlideTask]) -> list[Any]:
        from distributed import wait

        try:
            with self._client.as_current():
                return list(wait(list(pending), timeout=POLL_S, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []

    def _outcome(self, future: Any, task: SlideTask) -> tuple[Outcome, str]:
        """Return what a future ended in, and on which worker."""
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        worker = self._running.get(task.slide.id, ("", 0.0))[0]
        try:
            outcome, worker = future.result()
        except KilledWorker as error:
            last = getattr(error.last_worker, "address", "")
            return Outcome(
                state="failed", reason="its worker died, again and again: too little memory?"
            ), last
        except (CommClosedError, CancelledError):
            raise
        except Exception as error:  # what went wrong around the slide, not in it
            return Outcome(state="failed", reason=f"{type(error).__name__}: {one_line(str(error))}"), worker
        return outcome, worker

    def _heard(self, event: tuple[float, dict[str, str]]) -> None:
        self._beats.put((event[1]["slide"], event[1]["worker"]))

    def _begun(self) -> Iterator[Event]:
        """Take in what workers have told; yield the slides that one has begun."""
        while True:
            try:
                slide, worker = self._beats.get_nowait()
            except Empty:
                return
            known = self._running.get(slide)
            self._running[slide] = worker, monotonic()
            if known is None or known[0] != worker:
                yield slide, worker, None

    def _restart_hung(self, pending: dict[Any, SlideTask]) -> Iterator[Event]:
        """Kill workers that have told nothing for too long; the scheduler gives their slide to another one.

        A slide that this happened to before is given up: yield its end.
        """
        futures = {task.slide.id: future for future, task in pending.items()}
        for slide, (worker, heard) in list(self._running.items()):
            if slide not in futures or monotonic() - heard < self._hang_s:
                continue
            self._hangs[slide] = self._hangs.get(slide, 0) + 1
            self._warn(f"{slide}: no progress for {self._hang_s:g} s: {worker} is restarted")
            del self._running[slide]
            given_up = self._hangs[slide] >= MOST_HANGS
            if given_up:
                futures[slide].cancel(force=True)
                del pending[futures[slide]]
            done = self._client.restart_workers([worker], timeout=RESTART_S, raise_for_error=False)
            if done.get(worker) not in ("OK", "removed"):
                self._warn(f"{worker} could not be restarted: end it by hand")
            if given_up:
                reason = f"no progress for {self._hang_s:g} s, on {MOST_HANGS} workers one after the other"
                yield slide, worker, Outcome(state="failed", reason=reason)

    def _refuse(self, worker: str, reason: str) -> None:
        """Send a worker away that would not keep to the terms."""
        self._unfit += 1
        self._warn(f"worker {worker} is refused: {reason}")
        self._client.retire_workers([worker], close_workers=True)
        if self._unfit >= MOST_UNFIT or not self._workers():
            raise UsageError(
                f"no worker is left that keeps to what the batch began with; the last one {reason}"
            )

    def _workers(self) -> int:
        return len(workers_of(self._client))

    def _slides_at_once(self) -> dict[str, int]:
        """Return the resource that a slide takes; nothing where the workers of elsewhere declare none."""
        self._client.wait_for_workers(1)
        known = workers_of(self._client).values()
        return {SLIDE: 1} if all(SLIDE in item.get("resources", {}) for item in known) else {}


def _do_on_worker(task: SlideTask) -> tuple[Outcome, str]:
    """Do a slide on a dask worker, telling now and then that it goes on; return how it ended, and where."""
    from distributed import get_worker

    worker = get_worker()
    last = 0.0

    def tell(done_px: int = 0, total_px: int = 0) -> None:
        nonlocal last
        if monotonic() - last >= TELL_S:
            last = monotonic()
            worker.log_event(TOPIC, {"slide": task.slide.id, "worker": worker.address})

    tell()
    outcome = do_slide(task, tell)
    return outcome, worker.address
