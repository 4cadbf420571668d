"""Work ahead: in order, and never more of it held than there are threads."""

from __future__ import annotations

import pytest

from wsiseg.exports.ahead import MOST_THREADS, ahead


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 2), (3, 3), (64, MOST_THREADS)])
def test_no_more_is_held_than_there_are_threads(cpus, threads, monkeypatch):
    monkeypatch.setattr("wsiseg.exports.ahead.usable_cpus", lambda: cpus)
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    most, found = 0, []
    for result in ahead(lambda number: number * number, items()):
        most = max(most, len(taken) - len(found))
        found.append(result)
    assert found == [number * number for number in range(20)]
    assert most == threads


def test_an_error_comes_out_where_its_result_would(monkeypatch):
    monkeypatch.setattr("wsiseg.exports.ahead.usable_cpus", lambda: 2)

    def halved(number: int) -> float:
        if number == 3:
            raise ValueError("3 is refused")
        return number / 2

    found = []
    with pytest.raises(ValueError, match="3 is refused"):
        found.extend(ahead(halved, range(9)))
    assert found == [0.0, 0.5, 1.0]
