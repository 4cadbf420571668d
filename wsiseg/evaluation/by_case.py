"""Labels of slides and regions against their truth, piece by piece: a matrix per case, the worst windows.

A case is a slide or a region of one; its pieces are rectangles of its label map, so nothing of its size is
held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.bootstrap import FEW_GROUPS, FEWEST_GROUPS, Intervals, bootstrap
from wsiseg.evaluation.confusion import Confusion
from wsiseg.geometry import Region

WINDOW_PX = 512
"""Side of the windows among which the worst are looked for, in pixels of the label map."""

Labels = NDArray[np.uint8]
"""(rows, columns) label ids of the data set; 254 unread, 255 ignored (truth) or not analysed (prediction)."""


class Piece(NamedTuple):
    """A rectangle of a case with truth in it."""

    region: Region
    truth: Labels
    prediction: Labels


class LabelledCase(Protocol):
    """What scoring has to know of a case."""

    @property
    def name(self) -> str:
        """For messages and results."""

    @property
    def group(self) -> str:
        """The patient, or the slide itself: what is drawn in a bootstrap."""

    def pieces(self) -> Iterator[Piece]:
        """Yield all that has truth, each pixel once."""

    def picture(self, region: Region) -> NDArray[np.uint8]:
        """Return RGB (rows, columns, 3) of a rectangle of the label map."""


@dataclass(frozen=True, slots=True, eq=False)
class WorstWindow:
    """A window with many wrong pixels."""

    case: str
    region: Region
    """In the case's label map."""
    wrong_px: int
    compared_px: int
    truth: Labels
    prediction: Labels
    rgb: NDArray[np.uint8]
    """(rows, columns, 3)."""


@dataclass(frozen=True, slots=True)
class CaseScore:
    """What came out of one case."""

    name: str
    group: str
    confusion: Confusion
    unread_px: int
    """Labelled pixels that could not be read: in no score."""
    not_analysed_px: int
    """Labelled pixels that the prediction left out (a region of interest): in no score."""
    worst: tuple[WorstWindow, ...]


def score_case(case: LabelledCase, ids: tuple[int, ...], *, worst_windows: int = 0) -> CaseScore:
    """Count a case. Raises InputRefusedError where its truth holds a label that is none of `ids`."""
    confusion = Confusion(ids)
    unread = not_analysed = 0
    worst: list[tuple[int, Piece]] = []
    for piece in case.pieces():
        labelled = (piece.truth != NOT_ANALYSED) & (piece.truth != UNREAD)
        unread += int((labelled & (piece.prediction == UNREAD)).sum())
        not_analysed += int((labelled & (piece.prediction == NOT_ANALYSED)).sum())
        labelled &= piece.prediction < UNREAD
        truth = np.where(labelled, piece.truth, np.uint8(NOT_ANALYSED))
        try:
            confusion.add(truth, piece.prediction)
        except ValueError as error:
            raise InputRefusedError(f"{case.name}: {error}; is this the right class map?") from error
        if worst_windows:
            wrong = labelled & (truth != piece.prediction)
            for window in _windows(piece.region):
                at = window.slices_in(piece.region)
                count = int(wrong[at].sum())
                if count:
                    worst.append((count, Piece(window, truth[at].copy(), piece.prediction[at].copy())))
            worst = sorted(worst, key=lambda item: (-item[0], item[1].region))[:worst_windows]
    return CaseScore(
        case.name,
        case.group,
        confusion,
        unread,
        not_analysed,
        tuple(
            WorstWindow(
                case=case.name,
                region=window.region,
                wrong_px=count,
                compared_px=int((window.truth != NOT_ANALYSED).sum()),
                truth=window.truth,
                prediction=window.prediction,
                rgb=case.picture(window.region),
            )
            for count, window in worst
        ),
    )


@dataclass(frozen=True, slots=True)
class CasesEvaluation:
    """What came out of all cases."""

    confusion: Confusion
    cases: tuple[CaseScore, ...]
    worst: tuple[WorstWindow, ...]
    """Worst first."""
    intervals: Intervals | None
    """Over the groups; None of too few."""
    warnings: tuple[str, ...]


class EvaluateCases:
    """Takes cases one by one; what it holds does not grow with their size."""

    def __init__(self, ids: tuple[int, ...], *, worst_windows: int = 0) -> None:
        self._ids, self._worst_windows = ids, worst_windows
        self._scores: list[CaseScore] = []

    def add(self, case: LabelledCase) -> None:
        """Score a case. Raises InputRefusedError where its truth holds another label."""
        score = score_case(case, self._ids, worst_windows=self._worst_windows)
        self._scores.append(score)
        kept = worst_of(self._scores, self._worst_windows)
        self._scores = [
            replace(item, worst=tuple(window for window in item.worst if window in kept))
            for item in self._scores
        ]

    def result(self, *, seed: int, resamples: int, level: float, warnings: Sequence[str]) -> CasesEvaluation:
        """Return everything, with what a reader has to be told."""
        groups = by_group(self._scores)
        notes = list(warnings)
        for score in self._scores:
            if not score.confusion.counts.any():
                notes.append(f"{score.name}: nothing of it was compared")
            if score.unread_px:
                notes.append(
                    f"{score.name}: {score.unread_px} labelled pixels could not be read: in no score"
                )
            if score.not_analysed_px:
                notes.append(
                    f"{score.name}: {score.not_analysed_px} labelled pixels were not analysed: in no score"
                )
        compared = sum(bool(matrix.counts.any()) for matrix in groups.values())
        what = f"{compared} groups (patients; where none are given, slides or regions)"
        if compared < FEWEST_GROUPS:
            notes.append(f"{what}: too few for confidence intervals, which need {FEWEST_GROUPS}")
        elif compared < FEW_GROUPS:
            notes.append(f"{what}: their confidence intervals are rough, and likely too narrow")
        return CasesEvaluation(
            Confusion(self._ids).merge(groups.values()),
            tuple(self._scores),
            worst_of(self._scores, self._worst_windows),
            bootstrap(list(groups.values()), seed=seed, resamples=resamples, level=level),
            tuple(notes),
        )


def worst_of(scores: list[CaseScore], count: int) -> tuple[WorstWindow, ...]:
    """Return the windows with the most wrong pixels of all cases, worst first."""
    windows = [window for score in scores for window in score.worst]
    return tuple(sorted(windows, key=lambda item: (-item.wrong_px, item.case, item.region))[:count])


def by_group(scores: list[CaseScore]) -> dict[str, Confusion]:
    """Return one matrix per group, in the order in which they come."""
    groups: dict[str, Confusion] = {}
    for score in scores:
        known = groups.get(score.group)
        groups[score.group] = score.confusion if known is None else known.merge([score.confusion])
    return groups


def _windows(region: Region) -> Iterator[Region]:
    """Yield the windows of the whole label map's raster that a piece touches, cut to it."""
    for y in range(region.y // WINDOW_PX * WINDOW_PX, region.bottom, WINDOW_PX):
        for x in range(region.x // WINDOW_PX * WINDOW_PX, region.right, WINDOW_PX):
            yield Region(x, y, WINDOW_PX, WINDOW_PX).intersect(region)
