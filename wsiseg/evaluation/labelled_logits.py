"""Logits of labelled pixels, a bounded number at a time: what calibration is fitted to and measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsiseg.class_map import UNREAD
from wsiseg.datasets.pictures import PictureSet
from wsiseg.evaluation.over_dataset import read_ahead
from wsiseg.evaluation.reliability import Reliability
from wsiseg.evaluation.tiled_logits import TiledLogits
from wsiseg.evaluation.whole_picture import PicturePredictor
from wsiseg.geometry import Region

PIXELS_AT_ONCE = 1_000_000


class LabelledPixels(NamedTuple):
    """Some pixels whose truth is a class."""

    logits: NDArray[np.float32]
    """(pixels, channels)."""
    truth: NDArray[np.uint8]
    """(pixels,) label ids of the data set."""


def pixels_of_pictures(
    predict: PicturePredictor, pictures: PictureSet, workers: int
) -> Iterator[LabelledPixels]:
    """Yield the labelled pixels of whole pictures, in order."""
    for sample in read_ahead(pictures, workers):
        logits = predict.logits(sample.rgb)
        rows = max(1, PIXELS_AT_ONCE // sample.labels.shape[1])
        for top in range(0, len(sample.labels), rows):
            yield _labelled(logits[:, top : top + rows], sample.labels[top : top + rows])


def pixels_of_case(
    tiled: TiledLogits, truth: Callable[[Region], NDArray[np.uint8]]
) -> Iterator[LabelledPixels]:
    """Yield the labelled pixels of a slide or a region that could be read; other tiles are not looked at."""
    for tile in tiled.tiles(lambda region: bool((truth(region) < UNREAD).any())):
        for strip in tile.strips():
            labels = truth(strip.region)
            if strip.unread is not None:
                labels = np.where(strip.unread, np.uint8(UNREAD), labels)
            yield _labelled(strip.logits, labels)


def count_confidence(
    found: Reliability, pixels: LabelledPixels, channel_labels: NDArray[np.uint8], temperature: float
) -> None:
    """Count pixels by the probability that softmax(logits / temperature) gives to the winning channel."""
    logits = pixels.logits.astype(np.float64)
    winner = pixels.logits.argmax(axis=1)
    scaled = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    found.add((1 / scaled.sum(axis=1)).astype(np.float32), channel_labels[winner] == pixels.truth)


def _labelled(logits: Tensor, labels: NDArray[np.uint8]) -> LabelledPixels:
    kept = labels < UNREAD
    chosen = logits.permute(1, 2, 0)[torch.from_numpy(kept).to(logits.device)]
    return LabelledPixels(chosen.cpu().numpy(), labels[kept])
