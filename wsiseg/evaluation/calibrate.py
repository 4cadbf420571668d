"""Fit a temperature on one split, measure on another what it does to confidence, say so in the card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.evaluation.labelled_logits import LabelledPixels, count_confidence
from wsiseg.evaluation.reliability import BINS, Reliability
from wsiseg.evaluation.temperature import Fit, PixelSample, fit_temperature
from wsiseg.models.card import ModelCard
from wsiseg.models.checkpoint import save_model
from wsiseg.models.model import Model

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The labelled pixels of some slides, regions or pictures."""

    described: str
    """What they are, for people: data set, split, how many."""
    pixels: Iterable[LabelledPixels]
    channel_labels: NDArray[np.uint8]
    """What each channel of the logits stands for, in label ids of this split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was fitted, and what it does on the test split."""

    fit: Fit
    seen_px: int
    """Labelled pixels that the sample was drawn from."""
    before: Reliability
    """Of the test split, at the temperature that the card had."""
    after: Reliability
    fitted_on: str
    tested_on: str

    @property
    def note(self) -> str:
        """For the card: on what the temperature was fitted, and what it was measured to do."""
        before, after = (
            "not measured" if error is None else f"{100 * error:.2f} %"
            for error in (self.before.expected_calibration_error, self.after.expected_calibration_error)
        )
        return (
            f"Fitted to {self.fit.pixels} of {self.seen_px} labelled pixels of {self.fitted_on}. Expected "
            f"calibration error on {self.tested_on} ({self.after.bins} bins): {before} before, {after} after."
        )

    def describe(self) -> Json:
        """Return everything as JSON; errors are 0 to 1."""
        return {
            "temperature": self.fit.temperature,
            "fit": {
                "on": self.fitted_on,
                "labelled_px": self.seen_px,
                "sampled_px": self.fit.pixels,
                "nll_before": self.fit.nll_before,
                "nll_after": self.fit.nll_after,
            },
            "test": {
                "on": self.tested_on,
                "labelled_px": int(self.after.pixels.sum()),
                "bins": self.after.bins,
                "ece_before": self.before.expected_calibration_error,
                "ece_after": self.after.expected_calibration_error,
                "reliability_before": self.before.rows(),
                "reliability_after": self.after.rows(),
            },
        }


def calibrate(
    card: ModelCard, fit_on: Split, test_on: Split, *, sample_px: int, seed: int, bins: int = BINS
) -> Calibration:
    """Fit a temperature to a sample of one split, and measure all labelled pixels of the other.

    Memory holds the sample and what the splits yield at once. Raises InputRefusedError where there is too
    little to fit on.
    """
    sample = PixelSample(sample_px, len(fit_on.channel_labels), seed)
    for pixels in fit_on.pixels:
        sample.add(*pixels)
    fit = fit_temperature(*sample.pixels(), fit_on.channel_labels, card.temperature)
    before, after = Reliability(bins), Reliability(bins)
    for pixels in test_on.pixels:
        count_confidence(before, pixels, test_on.channel_labels, card.temperature)
        count_confidence(after, pixels, test_on.channel_labels, fit.temperature)
    return Calibration(
        fit=fit,
        seen_px=sample.seen,
        before=before,
        after=after,
        fitted_on=fit_on.described,
        tested_on=test_on.described,
    )


def save_calibrated(model: Model, found: Calibration, path: Path) -> ModelCard:
    """Write the model with its temperature to a new file; the weights stay what they are, to the byte."""
    if path.exists():
        raise UsageError(f"{path}: exists already: give another folder with -o, or remove it")
    card = model.card.model_copy(
        update={"temperature": found.fit.temperature, "temperature_note": found.note}
    )
    written = save_model(path, model.network, card)
    if model.card.weights_sha256 not in (None, written.weights_sha256):
        path.unlink()
        raise ModelRefusedError(f"{path.name}: its weights came out changed: this is a defect, report it")
    return written
