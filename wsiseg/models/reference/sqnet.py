"""SQNet. Source: Treml et al., "Speeding up Semantic Segmentation for Autonomous Driving", MLITS, NIPS 2016.

A RECONSTRUCTION: SqueezeNet 1.1 with ELU, parallel dilated convolutions that are summed, and a decoder of
full convolutions with refined skips are the publication's; the decoder's widths, those of the features it
meets on the way, and the dilations 1, 2, 4, 8 are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import initialise
from wsiseg.models.reference.squeezenet import CHANNELS, SqueezeNet

DILATIONS = (1, 2, 4, 8)


class Refinement(nn.Module):
    """Double the size by a full convolution, join the encoder's features, refined, and mix; ELU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, channels, 3, stride=2, padding=1, output_padding=1)
        self.skip = nn.Conv2d(channels, channels, 3, padding=1)
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.activation = nn.ELU()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, in, H, W) and (N, channels, 2H, 2W) -> (N, 2 * channels, 2H, 2W)."""
        both = [self.activation(self.up(x)), self.activation(self.skip(skip))]
        y: Tensor = self.activation(self.mix(torch.cat(both, dim=1)))
        return y


class SQNet(SegmentationNetwork):
    """SQNet: (N, 3, H, W) -> logits (N, C, H, W)."""

    input_multiple = 16

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        half, quarter, eighth, end = CHANNELS
        self.backbone = SqueezeNet(nn.ELU)
        self.parallel = nn.ModuleList(
            nn.Conv2d(end, end, 3, padding=step, dilation=step) for step in DILATIONS
        )
        self.activation = nn.ELU()
        self.refine = nn.ModuleList(
            [Refinement(end, eighth), Refinement(2 * eighth, quarter), Refinement(2 * quarter, half)]
        )
        self.classifier = nn.ConvTranspose2d(2 * half, num_classes, 3, stride=2, padding=1, output_padding=1)
        initialise(self)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        *skips, x = self.backbone(image)
        first, *others = [self.activation(branch(x)) for branch in self.parallel]
        x = sum(others, start=first)
        for refine in self.refine:
            x = refine(x, skips.pop())
        logits: Tensor = self.classifier(x)
        return logits
