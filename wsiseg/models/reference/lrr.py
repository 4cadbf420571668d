"""LRR-4x. Source: Ghiasi and Fowlkes, ECCV 2016, and the layer sizes of the authors' release, on ResNet-101.

A RECONSTRUCTION: the release has the VGG-16 network only. Per class, 5x5 convolutions give the coefficients
of ten 8x8 basis functions, at 1/32, 1/16, 1/8 and 1/4; finer reconstructions count only near boundaries. The
authors take the basis from the principal components of training labels and keep it fixed; here it begins as
the ten lowest cosines and is trained with the rest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import enlarge, initialise
from wsiseg.models.reference.resnet import CHANNELS, ResNet101

BASIS = 10
SIDE = 8
STEP = 4
BOUNDARY_PX = 9


class Reconstruction(nn.Module):
    """Coefficients of the basis functions, and the class scores they stand for, at 4 times the size."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.coefficients = nn.Conv2d(in_channels, num_classes * BASIS, 5, padding=2)
        self.basis = nn.ConvTranspose2d(
            num_classes * BASIS,
            num_classes,
            SIDE,
            stride=STEP,
            padding=STEP // 2,
            groups=num_classes,
            bias=False,
        )
        with torch.no_grad():
            self.basis.weight.copy_(cosines().repeat(num_classes, 1, 1)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, C, 4H, 4W)."""
        y: Tensor = self.basis(self.coefficients(x))
        return y


class LRR(SegmentationNetwork):
    """LRR-4x on ResNet-101: (N, 3, H, W) -> logits (N, C, H, W)."""

    input_multiple = 32

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.backbone = ResNet101()
        self.levels = nn.ModuleList(Reconstruction(channels, num_classes) for channels in reversed(CHANNELS))
        initialise(self)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        features = list(self.backbone(image))
        coarse, *finer = self.levels
        x: Tensor = coarse(features.pop())  # (C, H/8)
        for level in finer:
            x = enlarge(x, 2)
            x = x + boundary(x) * level(features.pop())
        return x


def boundary(scores: Tensor) -> Tensor:
    """Return how near each class's boundary is, 0 to 1: the most less the least probability around."""
    shares = torch.softmax(scores, dim=1)
    most = F.max_pool2d(shares, BOUNDARY_PX, stride=1, padding=BOUNDARY_PX // 2)
    return most + F.max_pool2d(-shares, BOUNDARY_PX, stride=1, padding=BOUNDARY_PX // 2)


def cosines() -> Tensor:
    """Return (10, 8, 8): the two-dimensional cosines of lowest frequency, each of norm 1."""
    at = (torch.arange(SIDE) + 0.5) / SIDE
    lowest = sorted((row + column, row, column) for row in range(4) for column in range(4))[:BASIS]
    waves = [
        torch.outer(torch.cos(math.pi * row * at), torch.cos(math.pi * column * at))
        for _, row, column in lowest
    ]
    return torch.stack([wave / wave.norm() for wave in waves])
