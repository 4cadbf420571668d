"""Cells written through a gate: the same bytes, and nothing after the gate is shut."""

from functools import partial

import dask
import numpy as np
import pytest

from wsiseg.cohort.cells import Ticket, do_cell
from wsiseg.cohort.finding import find_slides
from wsiseg.cohort.terms import UnfitWorkerError, settle_terms
from wsiseg.cohort.work import SlideTask, do_slide, options_of
from wsiseg.pipeline import segment_slide
from wsiseg.pyramid.gate import GatedStore, Receipts, close_gates, open_gate
from wsiseg.pyramid.journal import Journal
from wsiseg.run.slide_run import SlideRun


class GatedRun(SlideRun):
    """Does the cells as a worker does them, in this process; it can stop after some of them."""

    most = None
    opened = None

    def __init__(self, plan, store, journal, progress, *, task):
        super().__init__(plan, store, journal, progress)
        self.task = task

    def compute(self, workers):
        ticket = Ticket(self.task, self.store.path, open_gate(self.journal.folder))
        type(self).opened = ticket
        tasks = self.tasks(partial(do_cell, ticket))
        if self.most is not None:
            dask.compute(*tasks[: self.most], scheduler="sync")
            raise KeyboardInterrupt
        for entry in dask.compute(*tasks, scheduler="threads", num_workers=2):
            self.journal.done(**entry)
        close_gates(self.journal.folder)


def task_for(slides, output, options, **changes):
    (slide,) = find_slides(str(slides / "a.tiff"))
    predict = options(changes).predict
    terms = settle_terms([str(predict.model)], "torch", "fp32", "cpu")
    return SlideTask(slide=slide, output=output, options=predict, terms=terms)


@pytest.mark.parametrize("changes", [{}, {"ngff": "0.4", "confidence": True}])
def test_cells_through_a_gate_are_the_same_bytes(tmp_path, slides, options_for, digests_of, changes):
    plain = task_for(slides, tmp_path / "plain", options_for, **changes)
    gated = task_for(slides, tmp_path / "gated", options_for, **changes)
    assert do_slide(plain).state == "done"
    assert do_slide(gated, make_run=partial(GatedRun, task=gated)).state == "done"
    assert digests_of(tmp_path / "plain") == digests_of(tmp_path / "gated")


def test_what_passed_the_gate_of_a_killed_run_counts(tmp_path, slides, options_for, digests_of):
    class Stopped(GatedRun):
        most = 4

    task = task_for(slides, tmp_path / "out", options_for)
    folder = tmp_path / "out" / "a"
    run = partial(segment_slide, task.slide.source, folder, options_of(task), name="a")
    with pytest.raises(KeyboardInterrupt):
        run(make_run=partial(Stopped, task=task))
    straggler = Stopped.opened
    result = run()
    assert result.summary["tasks_resumed"] == 4
    with pytest.raises(FileNotFoundError):
        do_cell(straggler, "label", (0, 0, 1))
    plain = task_for(slides, tmp_path / "plain", options_for)
    do_slide(plain)
    assert digests_of(tmp_path / "out") == digests_of(tmp_path / "plain")


def test_nothing_is_written_once_the_gate_is_shut(tmp_path, slides, options_for):
    shut = []

    class Watched(GatedRun):
        def compute(self, workers):
            gate = open_gate(self.journal.folder)
            store = GatedStore(self.store.path, self.plan.layout, gate)
            labels = np.full(self.plan.layout.cell("label", 0, 0, 0).shape, 7, np.uint8)
            assert store.write("label", 0, 0, 0, labels) == self.store.size_of("label/0/0/0") > 0
            Receipts(gate).done("label/0/0/0", bytes=5)
            assert [entry["task"] for entry in close_gates(self.journal.folder)] == ["label/0/0/0"]
            before = self.store.read("label", 0, self.plan.layout.cell("label", 0, 0, 0))
            for action in (
                lambda: store.write("label", 0, 0, 0, labels * 0),
                lambda: store.write("label", 0, 0, 1, labels * 0),
                lambda: Receipts(gate).done("label/0/0/1", bytes=5),
            ):
                with pytest.raises(FileNotFoundError):
                    action()
            assert np.array_equal(
                before, self.store.read("label", 0, self.plan.layout.cell("label", 0, 0, 0))
            )
            assert self.store.size_of("label/0/0/1") == 0
            shut.append(True)
            raise KeyboardInterrupt

    task = task_for(slides, tmp_path / "out", options_for)
    with pytest.raises(KeyboardInterrupt):
        segment_slide(
            task.slide.source,
            tmp_path / "out" / "a",
            options_of(task),
            name="a",
            make_run=partial(Watched, task=task),
        )
    assert shut


def test_a_process_that_would_make_other_bytes_is_refused(tmp_path, slides, options_for):
    task = task_for(slides, tmp_path / "out", options_for)
    other = task_for(slides, tmp_path / "out", options_for, tile_px=128)

    class Refused(GatedRun):
        def compute(self, workers):
            ticket = Ticket(other, self.store.path, open_gate(self.journal.folder))
            with pytest.raises(UnfitWorkerError, match="tile_px"):
                do_cell(ticket, "label", (0, 0, 0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment_slide(
            task.slide.source,
            tmp_path / "out" / "a",
            options_of(task),
            name="a",
            make_run=partial(Refused, task=task),
        )


def test_receipts_that_make_no_sense_are_left_out(tmp_path):
    gate = open_gate(tmp_path)
    (gate / "label.0.0.0.json").write_text("[]")
    (gate / "label.0.0.1.json").write_text('{"task": 7}')
    (gate / "torn.json").write_text("{")
    journal = Journal(tmp_path, tmp_path / "store")
    assert journal.tasks == {}
    assert not list(tmp_path.glob("gate-*"))
    journal.close()


def test_a_huge_slide_is_a_few_thousand_tasks():
    """The counts of docs/scaling.md: 100,000 x 100,000 px at 0.25 um/px, all of it tissue."""
    from wsiseg.pyramid.store import StoreLayout
    from wsiseg.stitching.graph import pyramid_graph

    for side, expected in ((100_000, 3342), (50_000, 940), (25_000, 314)):
        layout = StoreLayout(
            version="0.5",
            name="square",
            unit="micrometer",
            label_shape=(side, side),
            label_pixel=(25_000 / side, 25_000 / side),
            image_shape=(6250, 6250),
            image_pixel=(4.0, 4.0),
            block_px=2048,
        )
        tasks = 0
        for kind in ("label", "image"):
            count = -(-layout.levels(kind)[0][0] // layout.cell_px(kind))
            cells = {(row, column) for row in range(count) for column in range(count)}
            tasks += len(pyramid_graph(kind, layout.levels(kind), layout.cell_px(kind), cells, set(), print))
        assert tasks == expected
