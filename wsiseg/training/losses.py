"""Cross entropy with class weights, ignoring what nobody labelled."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsiseg.class_map import NOT_ANALYSED

WEIGHT_OFFSET = 1.10
"""c in 1 / ln(c + p); the ESPNet authors' value (ENet's is 1.02)."""


def class_weights(frequencies: NDArray[np.float64], offset: float = WEIGHT_OFFSET) -> Tensor:
    """Return float32 (classes,): 1 / ln(offset + frequency). Source: ENet (Paszke et al., 2016), 4.2."""
    return torch.tensor(1.0 / np.log(offset + frequencies), dtype=torch.float32)


def channel_table(ids: tuple[int, ...]) -> Tensor:
    """Return int64 (256,): label id to output channel; ids that are no class become 255, ignored."""
    table = torch.full((256,), NOT_ANALYSED, dtype=torch.int64)
    table[list(ids)] = torch.arange(len(ids))
    return table


def subsample_labels(target: Tensor, stride: int) -> Tensor:
    """Return labels (N, H, W) at 1 / stride, taken at the middle of each cell: labels are never averaged."""
    return target if stride == 1 else target[:, stride // 2 :: stride, stride // 2 :: stride]


def loss_sum(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the weighted cross entropy over the pixels that are not 255.

    `logits` (N, C, H, W) in any float type, `target` (N, H, W) int64 channel indices. Divided by the
    `weight_sum` of a whole step it is the step's mean, however the step is divided into batches.
    """
    return F.cross_entropy(logits.float(), target, weights, ignore_index=NOT_ANALYSED, reduction="sum")


def weight_sum(target: Tensor, weights: Tensor) -> float:
    """Return the sum of the weights of the pixels that are not 255; 0 where nothing is labelled."""
    counts = torch.bincount(target.flatten(), minlength=NOT_ANALYSED + 1)[: len(weights)]
    return float(counts.double() @ weights.double())
