"""How right a diagnosis is, over cases: one count per case, and the scores read from it. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DiagnosisScores:
    """Scores of one confusion matrix; None where a figure has no case to stand on."""

    counts: NDArray[np.int64]
    """(truth, told), one count per case."""

    @property
    def cases(self) -> int:
        """Cases that were told a diagnosis."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        """Share of the cases whose diagnosis is right."""
        return float(self.counts.trace() / self.cases) if self.cases else None

    @property
    def sensitivity(self) -> tuple[float | None, ...]:
        """Of the cases of each diagnosis, the share that was told it."""
        return tuple(_share(row[place], row.sum()) for place, row in enumerate(self.counts))

    @property
    def specificity(self) -> tuple[float | None, ...]:
        """Of the cases of other diagnoses, the share that was not told this one."""
        found = []
        for place in range(len(self.counts)):
            others = np.delete(self.counts, place, axis=0)
            found.append(_share(others.sum() - others[:, place].sum(), others.sum()))
        return tuple(found)

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean sensitivity over the diagnoses that occur."""
        present = [value for value in self.sensitivity if value is not None]
        return sum(present) / len(present) if present else None

    def by_name(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the scores as numbers and mappings of them, as a card holds them."""
        return {
            "cases": self.cases,
            "accuracy": _rounded(self.accuracy),
            "balanced_accuracy": _rounded(self.balanced_accuracy),
            "sensitivity": dict(zip(names, map(_rounded, self.sensitivity), strict=True)),
            "specificity": dict(zip(names, map(_rounded, self.specificity), strict=True)),
        }


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
