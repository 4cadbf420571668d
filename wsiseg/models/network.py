"""What every segmentation network here has in common: the shapes it takes and gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsiseg.errors import InputRefusedError


class SegmentationNetwork(nn.Module):
    """Base of the networks: (N, 3, H, W) float, normalised -> logits (N, C, H / stride, W / stride).

    H and W are multiples of `input_multiple`; anything else raises InputRefusedError with the size to
    pad to. Sub-classes write `segment`.
    """

    input_multiple = 8
    """Both sides of the input are multiples of this."""
    output_stride = 1
    """Input pixels per logit, along each side."""
    graph_has_sizes = False
    """A traced graph holds sizes: it is to be traced at the size that it runs at."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits, float (N, num_classes, H / output_stride, W / output_stride)."""
        # A traced graph has its shape fixed already; comparing there only makes the tracer warn.
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self._check(image)
        return self.segment(image)

    def segment(self, image: Tensor) -> Tensor:
        """Return the logits of an image whose shape is known to fit."""
        raise NotImplementedError

    def _check(self, image: Tensor) -> None:
        if image.dim() != 4 or image.shape[1] != 3:
            raise InputRefusedError(
                f"network input has shape {tuple(image.shape)}: expected (N, 3, height, width); "
                "give a batch of RGB images with the channels first"
            )
        height, width = int(image.shape[2]), int(image.shape[3])
        step = self.input_multiple
        padded = (max(1, -(-height // step)) * step, max(1, -(-width // step)) * step)
        if padded != (height, width):
            raise InputRefusedError(
                f"network input is {width} x {height} px (width x height): both sides must be multiples "
                f"of {step}; pad it to {padded[1]} x {padded[0]}"
            )


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable values (running statistics not counted)."""
    return sum(parameter.numel() for parameter in network.parameters())
