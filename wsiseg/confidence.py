"""What a value of the confidence pyramid means.

A pixel that the network spoke for has round(255 p), at least 3, where p is the softmax of its class: divided
by 255 it is the confidence again. The three lowest values say why there is none; a reader who knows nothing
of them takes them for doubt, never for confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_ANALYSED = 0
"""Outside the region of interest, or not computed yet; the arrays' fill value."""
UNREAD = 1
NO_TISSUE = 2
"""Background by the tissue rule: the network was not asked."""
LOWEST = 3
HIGHEST = 255
NAMES = {NOT_ANALYSED: "not analysed", UNREAD: "unread", NO_TISSUE: "no tissue, by the tissue rule"}
BINS = 10
"""Of the histogram in the summary; equal parts of 0 to 1, the last with 1 in it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become confidences: softmax(logits / temperature)."""

    temperature: float
    fitted: bool
    """Whether the temperature was fitted to data; without, confidences are usually too high."""

    @property
    def group(self) -> str:
        """Name of the pyramid in the store."""
        return "confidence" if self.fitted else "uncalibrated_confidence"
