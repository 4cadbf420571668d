"""One slide spread over dask workers by block: this process holds the run, they do its cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import Any

from wsiseg.cohort.cells import Ticket, check_ticket, do_cell
from wsiseg.cohort.terms import UnfitWorkerError
from wsiseg.cohort.work import SlideTask, scheduler_watched, workers_of
from wsiseg.errors import WsisegError
from wsiseg.pyramid.gate import close_gates, open_gate
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.store import ResultStore
from wsiseg.run.plan import RunPlan
from wsiseg.run.slide_run import SlideRun
from wsiseg.run.store_run import Progress

POLL_S = 0.2
MOST_HANGS = 2
RESTART_S = 60.0


class HungWorkersError(WsisegError):
    """Workers that make no progress, again after they were restarted."""


class SpreadRun(SlideRun):
    """A slide's tasks, done by the workers of a dask client; the journal stays with this process."""

    def __init__(
        self,
        plan: RunPlan,
        store: ResultStore,
        journal: Journal,
        progress: Progress | None,
        *,
        task: SlideTask,
        client: Any,
        hang_s: float,
        warn: Callable[[str], None],
    ) -> None:
        super().__init__(plan, store, journal, progress)
        self._book = journal
        self._task = task
        self._client = client
        self._hang_s = hang_s
        self._warn = warn

    def compute(self, workers: int | None) -> None:
        """Have the workers do what the journal does not have yet; `workers` is theirs to know.

        Raises UnfitWorkerError where none keeps to the run record, HungWorkersError, or LostSchedulerError.
        """
        del workers
        gate = open_gate(self._book.folder)
        ticket = Ticket(self._task, self.store.path, gate)
        try:
            with scheduler_watched(self._client):
                self._refuse_unfit(ticket)
                tasks = self.tasks(partial(do_cell, ticket), name=f"{gate.name}/")
                self._follow(self._client.compute(tasks, optimize_graph=False))
        finally:
            for entry in close_gates(self._book.folder):
                if entry["task"] not in self._book.tasks:
                    self._book.done(**entry)

    def _follow(self, futures: list[Any]) -> None:
        """Enter into the journal what gets done, and restart workers when nothing does for too long."""
        from distributed import as_completed

        heard, hangs = monotonic(), 0
        ended = as_completed(futures, loop=self._client.loop)
        left = len(futures)
        while left:
            batch = ended.next_batch(block=False)
            for future in batch:
                self._book.done(**future.result())
                left -= 1
            if batch:
                heard, hangs = monotonic(), 0
                continue
            if monotonic() - heard > self._hang_s:
                hangs += 1
                if hangs >= MOST_HANGS:
                    raise HungWorkersError(f"no progress for {self._hang_s:g} s, twice")
                self._restart()
                heard = monotonic()
            sleep(POLL_S)

    def _restart(self) -> None:
        busy = [address for address, keys in self._client.processing().items() if keys]
        self._warn(f"{self._task.slide.id}: no progress for {self._hang_s:g} s: {', '.join(busy)} restarted")
        self._client.restart_workers(busy, timeout=RESTART_S, raise_for_error=False)

    def _refuse_unfit(self, ticket: Ticket) -> None:
        """Send away workers that would make other bytes; each opens the slide for it, as it has to anyway."""
        addresses = list(workers_of(self._client))
        asked = {
            address: self._client.submit(check_ticket, ticket, workers=[address], pure=False)
            for address in addresses
        }
        refused = {address: reason for address, future in asked.items() if (reason := future.result())}
        for address, reason in refused.items():
            self._warn(f"worker {address} is refused: {reason}")
        if len(refused) == len(addresses):
            raise UnfitWorkerError(f"none of {len(addresses)} workers keeps to the run: {reason}")
        if refused:
            self._client.retire_workers(list(refused), close_workers=True)
