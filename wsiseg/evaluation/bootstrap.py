"""How far scores would move with other slides: percentile bootstrap over slides or patients.

Groups are drawn with replacement, their counts added up, and the scores read from the sum. Pixels of one
slide are no independent samples, so pixels are never drawn. Efron and Tibshirani, An Introduction to the
Bootstrap (1993), ch. 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.evaluation.confusion import Confusion

FEWEST_GROUPS = 3
"""Of fewer, draws say nothing about slides that were not seen."""
FEW_GROUPS = 10
"""Of fewer, percentile intervals are known to be too narrow."""
RESAMPLES = 2000
LEVEL = 0.95
_DRAWS_AT_ONCE = 64

Interval = tuple[float, float] | None
"""(low, high); None where a score could not be read from most draws."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Confidence intervals of the scores of one matrix."""

    groups: int
    resamples: int
    seed: int
    level: float
    mean_iou: Interval
    mean_f1: Interval
    pixel_accuracy: Interval
    frequency_weighted_iou: Interval
    iou: tuple[Interval, ...]
    """Of each class."""
    f1: tuple[Interval, ...]


def bootstrap(
    groups: Sequence[Confusion], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Intervals | None:
    """Return the intervals from one matrix per slide or patient; None of fewer than `FEWEST_GROUPS`.

    A group in which nothing was compared counts as none. A class that is absent from a draw has no score
    there; where it is absent from more than half of them it has no interval.
    """
    counted = [group for group in groups if group.counts.any()]
    if len(counted) < FEWEST_GROUPS:
        return None
    each = np.stack([group.counts for group in counted]).astype(np.float64)
    rng = np.random.default_rng(seed)
    share = np.full(len(each), 1 / len(each))
    scores: list[NDArray[np.float64]] = []
    for first in range(0, resamples, _DRAWS_AT_ONCE):
        drawn = rng.multinomial(len(each), share, size=min(_DRAWS_AT_ONCE, resamples - first))
        scores.append(_scores(np.tensordot(drawn.astype(np.float64), each, axes=1)))
    columns = [_interval(values, level) for values in np.concatenate(scores).T]
    classes = each.shape[1]
    return Intervals(
        groups=len(each),
        resamples=resamples,
        seed=seed,
        level=level,
        mean_iou=columns[0],
        mean_f1=columns[1],
        pixel_accuracy=columns[2],
        frequency_weighted_iou=columns[3],
        iou=tuple(columns[4 : 4 + classes]),
        f1=tuple(columns[4 + classes :]),
    )


def _scores(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (draws, 4 + 2 x classes) of counts (draws, classes, classes + 1); NaN where absent.

    Means of IoU and F1, pixel accuracy, IoU by frequency, IoU of each class, F1 of each class.
    """
    size = counts.shape[1]
    hit = np.diagonal(counts[:, :, :size], axis1=1, axis2=2)
    truth, claimed = counts.sum(axis=2), counts[:, :, :size].sum(axis=1)
    with np.errstate(invalid="ignore"):
        iou = hit / (truth + claimed - hit)
        f1 = 2 * hit / (truth + claimed)
    present = ~np.isnan(iou)
    total = truth.sum(axis=1)
    # Something is compared in every draw, so that some class is present.
    means = [np.where(present, values, 0).sum(axis=1) / present.sum(axis=1) for values in (iou, f1)]
    weighted = (np.where(present, iou, 0) * truth).sum(axis=1) / total
    return np.column_stack([*means, hit.sum(axis=1) / total, weighted, iou, f1])


def _interval(values: NDArray[np.float64], level: float) -> Interval:
    known = values[~np.isnan(values)]
    if 2 * len(known) <= len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
