"""One global confusion matrix, and the scores read from it.

Scores come from counts over everything that was compared, never from averages of batches or images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED, UNREAD

IGNORED = (UNREAD, NOT_ANALYSED)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one confusion matrix. A class in neither truth nor prediction is absent: None, not 0."""

    iou: tuple[float | None, ...]
    f1: tuple[float | None, ...]
    truth_px: tuple[int, ...]
    mean_iou: float | None
    """Over the classes that are not absent."""
    mean_f1: float | None
    pixel_accuracy: float | None
    frequency_weighted_iou: float | None
    """Each class weighted by its share of the truth."""
    compared_px: int


@dataclass(slots=True)
class Confusion:
    """Counts (truth, prediction) int64 over the given label ids."""

    ids: tuple[int, ...]
    ignored: tuple[int, ...] = IGNORED
    counts: NDArray[np.int64] = field(init=False)
    unexpected_px: int = field(init=False, default=0)
    """Pixels whose prediction was none of the ids: counted as wrong, in a column of their own."""

    def __post_init__(self) -> None:
        if not self.ids or len(set(self.ids)) != len(self.ids):
            raise ValueError(f"ids are {self.ids}: expected distinct label values")
        if set(self.ids) & set(self.ignored):
            raise ValueError(f"ids {self.ids} and ignored {self.ignored} overlap")
        self.counts = np.zeros((len(self.ids), len(self.ids) + 1), np.int64)

    def add(self, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> None:
        """Count two label maps of one shape.

        A pixel whose truth is ignored is not counted. A truth value that is neither a class nor ignored
        raises ValueError. A prediction that is no class counts against the truth's class.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}: shapes must agree")
        table = np.full(256, -1, np.int64)
        table[list(self.ids)] = np.arange(len(self.ids))
        table[list(self.ignored)] = -2
        true_index = _lookup(table, truth, "truth")
        if (true_index == -1).any():
            strange = sorted(set(np.unique(truth).tolist()) - set(self.ids) - set(self.ignored))
            raise ValueError(f"truth holds label {strange[0]}: expected one of {self.ids} or {self.ignored}")
        table[list(self.ignored)] = -1
        predicted = _lookup(table, prediction, "prediction")
        keep = true_index >= 0
        columns = len(self.ids) + 1
        predicted = np.where(predicted < 0, len(self.ids), predicted)[keep]
        self.unexpected_px += int((predicted == len(self.ids)).sum())
        self.counts += np.bincount(
            true_index[keep] * columns + predicted, minlength=len(self.ids) * columns
        ).reshape(self.counts.shape)

    def merge(self, others: Iterable[Confusion]) -> Confusion:
        """Return a new matrix with the counts of this one and the others."""
        total = Confusion(self.ids, self.ignored)
        for part in (self, *others):
            if part.ids != self.ids or part.ignored != self.ignored:
                raise ValueError(f"cannot merge counts over {part.ids} with counts over {self.ids}")
            total.counts += part.counts
            total.unexpected_px += part.unexpected_px
        return total

    def grouped(self, groups: Sequence[Sequence[int]]) -> Confusion:
        """Return the counts over groups of ids, numbered 0, 1, 2 ...: a mistake within a group is none.

        Truth in no group is left out, a prediction in no group is unexpected. Raises ValueError where an id
        is in two groups or is none of ours.
        """
        flat = [label for members in groups for label in members]
        if len(set(flat)) != len(flat) or not set(flat) <= set(self.ids):
            raise ValueError(f"groups {groups} over ids {self.ids}: expected each id in one group at most")
        into = np.full(len(self.ids) + 1, len(groups), np.intp)
        for number, members in enumerate(groups):
            into[[self.ids.index(label) for label in members]] = number
        total = Confusion(tuple(range(len(groups))), self.ignored)
        wide = np.zeros((len(groups) + 1, len(groups) + 1), np.int64)
        np.add.at(wide, (into[:-1, None], into[None, :]), self.counts)
        total.counts[:] = wide[:-1]
        total.unexpected_px = int(total.counts[:, -1].sum())
        return total

    def scores(self) -> Scores:
        """Return the scores of everything counted so far."""
        size = len(self.ids)
        hit = self.counts.diagonal().astype(np.float64)
        truth = self.counts.sum(axis=1)
        claimed = self.counts[:, :size].sum(axis=0)
        union = truth + claimed - hit
        iou = tuple(float(h / u) if u else None for h, u in zip(hit, union, strict=True))
        f1 = tuple(
            float(2 * h / (t + c)) if t + c else None for h, t, c in zip(hit, truth, claimed, strict=True)
        )
        compared = int(truth.sum())
        return Scores(
            iou=iou,
            f1=f1,
            truth_px=tuple(int(count) for count in truth),
            mean_iou=_mean(iou),
            mean_f1=_mean(f1),
            pixel_accuracy=float(hit.sum() / compared) if compared else None,
            frequency_weighted_iou=_weighted(iou, truth) if compared else None,
            compared_px=compared,
        )


def _lookup(table: NDArray[np.int64], labels: NDArray[np.integer], what: str) -> NDArray[np.int64]:
    if labels.dtype.kind not in "ui":
        raise ValueError(f"{what} has dtype {labels.dtype}: expected integers")
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) > 255):
        raise ValueError(f"{what} spans {labels.min()} to {labels.max()}: label ids are 0 to 255")
    return table[labels.astype(np.intp, copy=False).ravel()]


def _weighted(iou: Sequence[float | None], truth: NDArray[np.int64]) -> float:
    return float(sum(value * count for value, count in zip(iou, truth, strict=True) if value) / truth.sum())


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None
