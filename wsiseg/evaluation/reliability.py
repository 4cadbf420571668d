"""Does a network that says 80 % have it right in 80 % of the pixels: reliability bins and calibration error.

Expected calibration error as in Guo et al., On Calibration of Modern Neural Networks (2017): bins of equal
width over the confidence of the winning class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(slots=True)
class Reliability:
    """Pixels, right ones and summed confidence of each bin; bin i holds (i / bins, (i + 1) / bins]."""

    bins: int = BINS
    pixels: NDArray[np.int64] = field(init=False)
    right: NDArray[np.int64] = field(init=False)
    confidence: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.pixels, self.right = np.zeros(self.bins, np.int64), np.zeros(self.bins, np.int64)
        self.confidence = np.zeros(self.bins, np.float64)

    def add(self, confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> None:
        """Count pixels (N,) by the probability of their winning class, 0 to 1."""
        index = np.clip(
            np.ceil(confidence.astype(np.float64) * self.bins).astype(np.intp) - 1, 0, self.bins - 1
        )
        self.pixels += np.bincount(index, minlength=self.bins)
        self.right += np.bincount(index[right], minlength=self.bins)
        self.confidence += np.bincount(index, weights=confidence, minlength=self.bins)

    @property
    def expected_calibration_error(self) -> float | None:
        """Mean distance of confidence and accuracy over the pixels, 0 to 1; None of no pixels."""
        total = int(self.pixels.sum())
        return float(np.abs(self.right - self.confidence).sum() / total) if total else None

    def rows(self) -> list[dict[str, float | int | None]]:
        """Return the bins as JSON: bounds, pixels, mean confidence and accuracy (None where empty)."""
        edges = np.linspace(0, 1, self.bins + 1)
        return [
            {
                "above": float(low),
                "to": float(high),
                "pixels": int(count),
                "confidence": float(said / count) if count else None,
                "accuracy": float(right / count) if count else None,
            }
            for low, high, count, said, right in zip(
                edges[:-1], edges[1:], self.pixels, self.confidence, self.right, strict=True
            )
        ]
