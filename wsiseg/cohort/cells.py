"""One cell of a slide that is spread over workers: what runs in each of them."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.cohort.terms import UnfitWorkerError, check_terms
from wsiseg.cohort.work import SlideTask, options_of
from wsiseg.pyramid.gate import GatedStore, Receipts
from wsiseg.pyramid.store import Kind
from wsiseg.run.plan import make_plan
from wsiseg.run.run_record import differences
from wsiseg.run.slide_run import SlideRun
from wsiseg.run.store_run import task_name
from wsiseg.slides import open_slide
from wsiseg.stitching.graph import Cell

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What lets a worker into a run."""

    task: SlideTask
    store: Path
    gate: Path


class _Opened:
    """The run that this process has open: the next cell is mostly of the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticket: Ticket | None = None
        self._run: SlideRun | None = None
        self._receipts: Receipts | None = None

    def get(self, ticket: Ticket) -> tuple[SlideRun, Receipts]:
        """Return the run of a ticket. Raises UnfitWorkerError where this process would do it otherwise."""
        with self._lock:
            if self._run is None or self._receipts is None or self._ticket != ticket:
                self._ticket = None
                if self._run is not None:
                    self._run.target.slide.close()
                    self._run = None
                self._run, self._receipts = _open(ticket)
                self._ticket = ticket
            return self._run, self._receipts


_OPENED = _Opened()


def do_cell(ticket: Ticket, kind: Kind, cell: Cell) -> Json:
    """Do a cell, or find that it is done; return the journal's entry."""
    run, receipts = _OPENED.get(ticket)
    name = task_name(kind, cell)
    entry = receipts.find(name)
    if entry is None or run.store.size_of(name) != entry["bytes"]:
        run.do(kind, cell)
        entry = receipts.find(name)
    if entry is None:
        raise FileNotFoundError(f"{ticket.gate}: the run was taken over by another process")
    return entry


def check_ticket(ticket: Ticket) -> str:
    """Return why this process may not work on a run; nothing where it may."""
    try:
        _OPENED.get(ticket)
    except UnfitWorkerError as error:
        return str(error)
    return ""


def _open(ticket: Ticket) -> tuple[SlideRun, Receipts]:
    check_terms(ticket.task.terms)
    slide = open_slide(ticket.task.slide.source)
    try:
        options = options_of(ticket.task)
        model = options.model
        assert not isinstance(model, str | Path)  # noqa: S101  options_of has loaded it
        plan = make_plan(slide, model, options)
        with (ticket.gate.parent / "journal.jsonl").open(encoding="utf-8") as journal:
            changed = differences(json.loads(journal.readline())["record"], plan.record)
        if changed:
            raise UnfitWorkerError(f"would make other bytes: {'; '.join(changed[:4])}")
        receipts = Receipts(ticket.gate)
        return SlideRun(plan, GatedStore(ticket.store, plan.layout, ticket.gate), receipts, None), receipts
    except BaseException:
        slide.close()
        raise
