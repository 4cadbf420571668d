"""Intervals: those of a slow loop over drawn groups, and wide or narrow where they must be."""

import numpy as np
import pytest

from wsiseg.evaluation.bootstrap import bootstrap
from wsiseg.evaluation.confusion import Confusion


def matrix(counts):
    confusion = Confusion((0, 1, 2))
    confusion.counts[:] = counts
    return confusion


def some(count, seed=0):
    """Groups of different size and quality; the last class stands in the first two only."""
    rng = np.random.default_rng(seed)
    groups = []
    for number in range(count):
        counts = rng.integers(0, 400, (3, 4)) + np.eye(3, 4, dtype=int) * rng.integers(100, 3000)
        if number > 1:
            counts[2], counts[:, 2] = 0, 0
        groups.append(matrix(counts))
    return groups


def test_intervals_are_those_of_a_loop():
    groups, resamples, seed = some(5), 200, 3
    found = bootstrap(groups, seed=seed, resamples=resamples, level=0.9)
    rng = np.random.default_rng(seed)
    rows = {"mean_iou": [], "mean_f1": [], "pixel_accuracy": [], "frequency_weighted_iou": []}
    classes = []
    # numpy draws multinomials one after the other, whatever the number asked for at once
    for _ in range(resamples):
        times = rng.multinomial(5, [0.2] * 5)
        drawn = [group for group, count in zip(groups, times, strict=True) for _ in range(count)]
        scores = drawn[0].merge(drawn[1:]).scores()
        for name, values in rows.items():
            values.append(getattr(scores, name))
        classes.append([np.nan if value is None else value for value in (*scores.iou, *scores.f1)])
    for name, values in rows.items():
        assert getattr(found, name) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95]))), name
    columns = np.array(classes).T
    assert np.isnan(columns[2]).any()
    for interval, column in zip((*found.iou, *found.f1), columns, strict=True):
        assert interval == pytest.approx(tuple(np.nanquantile(column, [0.05, 0.95])))
    assert (found.groups, found.resamples, found.seed, found.level) == (5, resamples, seed, 0.9)


def test_the_seed_decides_and_nothing_else():
    groups = some(6)
    assert bootstrap(groups, seed=1) == bootstrap(groups, seed=1)
    assert bootstrap(groups, seed=1).mean_iou != bootstrap(groups, seed=2).mean_iou


def test_equal_groups_leave_no_doubt_and_more_groups_less():
    same = bootstrap([some(1)[0]] * 4)
    assert same.mean_iou == pytest.approx((same.mean_iou[0],) * 2)
    assert same.mean_iou[0] == pytest.approx(some(1)[0].scores().mean_iou)

    def width(count):
        low, high = bootstrap(some(count, 5)).pixel_accuracy
        return high - low

    assert 0 < width(64) < width(4)


def test_fewer_than_three_groups_are_none():
    assert bootstrap(some(2)) is None
    empty = Confusion((0, 1, 2))
    assert bootstrap([*some(2), empty]) is None
    assert bootstrap([*some(3), empty]).groups == 3


def test_a_class_in_few_draws_has_no_interval():
    groups = [matrix(np.diag([100, 50, 0, 0])[:3]) for _ in range(30)]
    groups[0].counts[2, 2] = 10
    found = bootstrap(groups)
    # Drawn in 1 - (29/30)^30 = 64 % of the draws, so there it is; absent from all others, nothing.
    assert found.iou[2] == (1.0, 1.0)
    groups[0].counts[2, 2] = 0
    assert bootstrap(groups).iou[2] is None
