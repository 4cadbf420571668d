"""Scores of a network between epochs: whole regions by the predict path, one global confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.datasets.pictures import Sample
from wsiseg.evaluation.confusion import Confusion, Scores
from wsiseg.evaluation.whole_picture import PicturePredictor
from wsiseg.models import Model, ModelCard
from wsiseg.models.network import SegmentationNetwork
from wsiseg.training.processes import Processes
from wsiseg.training.source_type import Regions


@dataclass(frozen=True, slots=True)
class Shown:
    """A validation region and what the network says there."""

    sample: Sample
    prediction: NDArray[np.uint8]
    """(rows, columns) label ids."""


def validate(
    network: nn.Module, card: ModelCard, regions: Regions, processes: Processes, samples: int
) -> tuple[Scores, list[Shown]]:
    """Return the scores over all regions, and the first `samples` predictions of this process.

    The processes share the regions out; each network is left in evaluation mode.
    """
    predict = PicturePredictor(Model(cast(SegmentationNetwork, network), card), processes.device)
    ids = card.class_map.ids
    keep = np.full(256, NOT_ANALYSED, np.uint8)
    keep[list(ids)] = ids
    confusion = Confusion(ids)
    shown: list[Shown] = []
    for index in range(processes.rank, len(regions), processes.world):
        sample = regions[index]
        prediction = predict(sample.rgb[None])[0]
        confusion.add(keep[sample.labels], prediction)
        if len(shown) < samples:
            shown.append(Shown(sample, prediction))
    confusion.counts = processes.total_counts(confusion.counts)
    return confusion.scores(), shown


def scores_for_card(scores: Scores, card: ModelCard) -> dict[str, object]:
    """Return the scores as a card holds them; null for what is absent."""
    names = [item.name for item in card.classes]
    return {
        "mean_iou": _rounded(scores.mean_iou),
        "pixel_accuracy": _rounded(scores.pixel_accuracy),
        "iou": {name: _rounded(iou) for name, iou in zip(names, scores.iou, strict=True)},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
