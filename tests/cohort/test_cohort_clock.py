"""A clock that jumps: whether a slide is done is said by its own summary, never by a time."""

import itertools
import time
from datetime import UTC, datetime, timedelta

from wsiseg.cohort import book
from wsiseg.cohort.batch import run_batch
from wsiseg.cohort.book import current_states


def test_a_clock_that_runs_backwards_loses_nothing(tmp_path, slides, options_for, digests_of, monkeypatch):
    ticks = itertools.count()
    start = datetime(2031, 5, 6, tzinfo=UTC)
    monkeypatch.setattr(book, "now", lambda: (start - timedelta(days=next(ticks))).isoformat())
    monkeypatch.setattr(time, "time", lambda: start.timestamp() - 86_400.0 * next(ticks))
    rows = run_batch(str(slides / "[ab]*"), tmp_path, options_for())
    assert {row.id: row.state for row in rows} == {"a": "done", "b": "done", "broken": "failed"}
    before = digests_of(tmp_path)
    said = []
    again = run_batch(str(slides / "[ab]*"), tmp_path, options_for(), say=said.append)
    assert [row.state for row in again] == [row.state for row in rows]
    assert said[0] == "0 of 3 slides to do"
    assert digests_of(tmp_path) == before
    assert [row.state for row in current_states(tmp_path)] == [row.state for row in rows]
    assert all(row.seconds >= 0 for row in again)
