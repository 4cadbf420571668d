"""Cross entropy with class weights, ignoring what nobody labelled."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.errors import UsageError

WEIGHT_OFFSET = 1.10
"""c in 1 / ln(c + p); the ESPNet authors' value (ENet's is 1.02)."""


def class_frequencies(labels: NDArray[np.uint8], ids: tuple[int, ...]) -> NDArray[np.float64]:
    """Return each class's share of the labelled pixels, in the order of `ids`.

    Raises UsageError for labels that hold no pixel of any class.
    """
    counts = np.zeros(256, np.int64)
    for picture in labels:
        counts += np.bincount(np.ravel(picture), minlength=256)
    chosen = counts[list(ids)]
    if not chosen.sum():
        raise UsageError(f"no pixel is labelled with any of {ids}: nothing to train on")
    return np.asarray(chosen / chosen.sum())


def class_weights(frequencies: NDArray[np.float64], offset: float = WEIGHT_OFFSET) -> Tensor:
    """Return float32 (classes,): 1 / ln(offset + frequency). Source: ENet (Paszke et al., 2016), 4.2."""
    return torch.tensor(1.0 / np.log(offset + frequencies), dtype=torch.float32)


def loss(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean cross entropy, over the pixels that are not 255.

    `logits` (N, C, H, W) in any float type, `target` (N, H, W) int64 channel indices.
    """
    return F.cross_entropy(logits.float(), target, weights, ignore_index=NOT_ANALYSED)


def subsample_labels(target: Tensor, stride: int) -> Tensor:
    """Return labels (N, H, W) at 1 / stride, taken at the middle of each cell: labels are never averaged."""
    return target if stride == 1 else target[:, stride // 2 :: stride, stride // 2 :: stride]
