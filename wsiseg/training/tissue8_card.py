"""Measures the bundled model: on phantoms, beside a classifier of colours, and on real crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from wsiseg.class_map import TISSUE8
from wsiseg.evaluation.confusion import Scores
from wsiseg.evaluation.phantom_rules import (
    Picture,
    Predict,
    fit_colour_baseline,
    score_colour_baseline,
    score_network,
)
from wsiseg.evaluation.real_crops import NOTE, score_crops
from wsiseg.evaluation.whole_image import segment_picture
from wsiseg.models.card import ModelCard
from wsiseg.models.normalise import Normalise

WARNING = "trained on generated tissue, to try the software, not for diagnosis"
BASELINE_PHANTOMS = 60
"""Training phantoms that the colour baseline learns from; more do not change it."""


def predictor(network: nn.Module, card: ModelCard) -> Predict:
    """Return what maps RGB (rows, columns, 3) at the card's mpp to label ids, in fp32 and in one piece."""
    normalise = Normalise(card)

    def from_channels_first(rgb: Tensor) -> Tensor:
        image: Tensor = normalise(rgb.permute(0, 2, 3, 1))
        return image

    def predict(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with torch.inference_mode():
            return segment_picture(network, from_channels_first, rgb, card.class_map.ids)

    return predict


def by_name(scores: Scores, ids: Sequence[int]) -> dict[str, JsonValue]:
    """Return the IoU of each class by its name, rounded; null for an absent one."""
    return {
        TISSUE8.by_id(label).name: None if iou is None else round(iou, 4)
        for label, iou in zip(ids, scores.iou, strict=True)
    }


def measure(
    predict: Predict,
    mpp: float,
    *,
    training: Sequence[Picture],
    validation: Sequence[Picture],
    held_out: Sequence[Picture],
    crops: Path | None,
) -> tuple[dict[str, JsonValue], str]:
    """Return the card's scores and the note on how they were measured."""
    baseline = fit_colour_baseline(training[:BASELINE_PHANTOMS])
    scores: dict[str, JsonValue] = {}
    for name, pictures in (("held_out_phantoms", held_out), ("validation_phantoms", validation)):
        every, four = score_network(predict, pictures)
        colour = score_colour_baseline(baseline, pictures)
        scores[name] = {
            "mean_iou": _rounded(every.mean_iou),
            "pixel_accuracy": _rounded(every.pixel_accuracy),
            "iou": by_name(every, TISSUE8.ids),
            "four_classes_mean_iou": _rounded(four.mean_iou),
            "four_classes_colour_baseline": round(colour.better, 4),
            "four_classes_colour_baseline_own_frequencies": round(colour.own, 4),
            "four_classes_colour_baseline_balanced": round(colour.balanced, 4),
            "phantoms": len(pictures),
        }
    note = (
        "Phantoms: one confusion matrix over all pixels, fp32, each picture in one piece. "
        "held_out_phantoms have stain, scanner and layout parameters outside of the training ranges. "
        "four_classes: benign and "
        "malignant epithelium, normal and desmoplastic stroma, over pixels of these; the colour baseline is "
        "a Bayes classifier on 5 x 5 mean colours that chooses among the four, the better of two weightings."
    )
    if crops is not None:
        rows = score_crops(crops, predict, mpp)
        scores["real_crops_iou"] = {
            row.name: {key: round(value, 4) for key, value in row.iou.items()} for row in rows
        }
        note += (
            " real_crops_iou: three real breast-biopsy crops that nothing was trained or tuned on, "
            f"{NOTE}; assumed scale "
            + ", ".join(f"{row.name} {row.assumed_mpp:g} um/px" for row in rows)
            + "; classes of at least 1,000 px."
        )
    return scores, note


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
