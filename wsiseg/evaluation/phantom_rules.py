"""The promise of the phantoms: colour alone fails on them, a network that sees architecture does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import TISSUE8
from wsiseg.evaluation.colour_baseline import ColourBaseline
from wsiseg.evaluation.confusion import Confusion, Scores
from wsiseg.evaluation.whole_image import score_pictures

ARCHITECTURE_IDS = (1, 2, 3, 4)
"""Benign and malignant epithelium, normal and desmoplastic stroma."""
COLOUR_LIMIT = 0.40
"""The colour baseline stays below this mean IoU over the four classes."""
NETWORK_MARGIN = 0.25
"""The network is better than the colour baseline by this or more."""

Picture = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Predict = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class BaselineScores:
    """Mean IoU over the four classes, once for each weighting of them."""

    own: float
    """With the classes' frequencies in training."""
    balanced: float
    """With every class weighted alike."""

    @property
    def better(self) -> float:
        """The higher one: what a network is compared with."""
        return max(self.own, self.balanced)


def fit_colour_baseline(pictures: Iterable[Picture]) -> ColourBaseline:
    """Return the colour classifier of the four classes, trained on (rgb, truth) pairs."""
    baseline = ColourBaseline.empty(ARCHITECTURE_IDS)
    for rgb, truth in pictures:
        baseline.learn(rgb, truth)
    return baseline


def score_colour_baseline(baseline: ColourBaseline, pictures: Sequence[Picture]) -> BaselineScores:
    """Return its scores on the pixels whose truth is one of the four; it chooses among the four only."""
    found = []
    for balanced in (False, True):
        table = baseline.decisions(balanced=balanced)
        counts = score_pictures(partial(baseline.look_up, decisions=table), pictures, ARCHITECTURE_IDS)
        found.append(counts.scores().mean_iou or 0.0)
    return BaselineScores(found[0], found[1])


def score_network(predict: Predict, pictures: Iterable[Picture]) -> tuple[Scores, Scores]:
    """Return scores over all eight labels, and over the four alone.

    The four are scored on the same pixels as the baseline. The network gets no help there: it may answer
    with any of the eight labels, and one outside of the four is wrong.
    """
    every, four = Confusion(TISSUE8.ids), Confusion(ARCHITECTURE_IDS)
    keep = np.full(256, four.ignored[-1], np.uint8)
    keep[list(ARCHITECTURE_IDS)] = ARCHITECTURE_IDS
    for rgb, truth in pictures:
        predicted = predict(rgb)
        every.add(truth, predicted)
        four.add(keep[truth], predicted)
    return every.scores(), four.scores()
