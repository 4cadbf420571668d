"""Floating-point operations of a network, counted on shapes alone: nothing is computed, no memory used."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from wsiseg.models.network import SegmentationNetwork


def count_flops(network: SegmentationNetwork, width_px: int, height_px: int) -> int:
    """Return the operations of the convolutions for one image of the network's input size.

    A multiplication and an addition are two. Normalisations, activations and sums are not counted: they
    are few beside the convolutions, and the literature leaves them out.
    """
    shapes_only = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes_only(torch.empty(1, 3, height_px, width_px, device="meta"))
    return int(counter.get_total_flops())
