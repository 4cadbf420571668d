"""Y-Net: segmentation, and a second arm that tells the diagnosis. Source: Mehta et al., MICCAI 2018, ESP-PSP.

Encoder of ESP modules (K = 4, 3x3 reduce, ReLU), decoder of pyramid pooling. What the publication leaves
open, and why the joint network's published count is larger than what computes: docs/decisions/0016.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.blocks import ESP, BNAct, ConvBNAct, conv
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.quiet import plain_size, traced_constants

_K = 4
_SHARES = ((5, 6), (2, 3), (1, 2), (3, 8))
"""Sides that are pooled to, as parts of the map's: 40, 32, 24 and 18 of the 48 px of a 384 px patch."""
PUBLISHED_DIAGNOSES = 5
"""Outputs of the published diagnosis arm: the lists number diagnoses from 1 to 4, output 0 is unused."""


class PyramidPooling(nn.Module):
    """A map, and behind it the same seen through four coarser grids."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(ConvBNAct(in_channels, out_channels, 1, act="relu") for _ in _SHARES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, in + 4 out, H, W)."""
        height, width = plain_size(x)
        parts = [x]
        for (part, whole), level in zip(_SHARES, self.levels, strict=True):
            coarse = _mean_over(x, max(1, height * part // whole), max(1, width * part // whole))
            parts.append(F.interpolate(level(coarse), (height, width), mode="bilinear", align_corners=False))
        return torch.cat(parts, dim=1)


class YNet(SegmentationNetwork):
    """The segmentation arm: (N, 3, H, W) -> logits (N, C, H, W)."""

    graph_has_sizes = True

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.level1 = ConvBNAct(3, 16, 7, stride=2, act="relu")
        self.down2 = ConvBNAct(16, 128, 3, stride=2, act="relu")
        self.level2 = _modules(128, 2)
        self.norm2 = BNAct(256, "relu")
        self.down3 = ConvBNAct(256, 256, 3, stride=2, act="relu")
        self.level3 = _modules(256, 5)
        self.norm3 = BNAct(512, "relu")
        self.decode3 = nn.Sequential(
            PyramidPooling(512, 128),
            ConvBNAct(512 + 4 * 128, 128, 1, act="relu"),
            ConvBNAct(128, num_classes, 3, act="relu"),
            ConvBNAct(num_classes, num_classes, 1, act="relu"),
        )
        self.decode2 = nn.Sequential(
            PyramidPooling(num_classes + 256, 64),
            ConvBNAct(num_classes + 256 + 4 * 64, num_classes, 3, act="relu"),
            ConvBNAct(num_classes, num_classes, 1, act="relu"),
        )
        self.decode1 = nn.Sequential(
            PyramidPooling(num_classes + 16, num_classes),
            ConvBNAct(16 + 5 * num_classes, num_classes, 3, act="relu"),
            conv(num_classes, num_classes, 7),
        )

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return level 1 (16 channels, H/2), level 2 (256, H/4) and level 3 (512, H/8)."""
        out1 = self.level1(image)
        down2 = self.down2(out1)
        out2 = self.norm2(torch.cat([down2, self.level2(down2)], dim=1))
        down3 = self.down3(out2)
        out3 = self.norm3(torch.cat([down3, self.level3(down3)], dim=1))
        return out1, out2, out3

    def decode(self, out1: Tensor, out2: Tensor, out3: Tensor) -> Tensor:
        """Return logits (N, C, H, W) from what `encode` gave."""
        deep = _twice(self.decode3(out3))  # (N, C, H/4, W/4)
        deep = _twice(self.decode2(torch.cat([deep, out2], dim=1)))  # (N, C, H/2, W/2)
        return _twice(self.decode1(torch.cat([out1, deep], dim=1)))

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        return self.decode(*self.encode(image))


class YNetJoint(SegmentationNetwork):
    """Y-Net with both arms; as a segmentation network it is the one that it holds.

    `diagnoses` are the outputs of the second arm. `idle_branches` adds the weights that the published joint
    network counts but never uses, a fifth branch in each ESP module; with them, and 5 diagnoses, 8 classes
    have the 3,913,381 parameters of the publication.
    """

    graph_has_sizes = True

    def __init__(
        self, num_classes: int, diagnoses: int = PUBLISHED_DIAGNOSES, *, idle_branches: bool = True
    ) -> None:
        super().__init__(num_classes)
        self.diagnoses = diagnoses
        self.segmentation = YNet(num_classes)
        self.down4 = ConvBNAct(512, 128, 3, stride=2, act="relu")
        self.level4 = _modules(128, 2)
        self.norm4 = BNAct(256, "relu")
        self.down5 = ConvBNAct(256, 64, 3, stride=2, act="relu")
        self.level5 = _modules(64, 2)
        self.norm5 = BNAct(128, "relu")
        # No activation between the two: so it was released.
        self.diagnosis = nn.Sequential(nn.Linear(128, 64), nn.Linear(64, diagnoses))
        widths = [module.reduce.out_channels for module in self.modules() if isinstance(module, ESP)]
        self.idle = nn.ModuleList(conv(width, width, 3) for width in widths if idle_branches)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W); the diagnosis arm is not computed."""
        return self.segmentation.segment(image)

    def both(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return segmentation logits (N, C, H, W) and diagnosis logits (N, diagnoses)."""
        self._check(image)
        out1, out2, out3 = self.segmentation.encode(image)
        return self.segmentation.decode(out1, out2, out3), self._told(out3)

    def diagnose(self, image: Tensor) -> Tensor:
        """Return diagnosis logits (N, diagnoses); the segmentation is not decoded."""
        self._check(image)
        return self._told(self.segmentation.encode(image)[2])

    def _told(self, out3: Tensor) -> Tensor:
        down4 = self.down4(out3)
        out4 = self.norm4(torch.cat([down4, self.level4(down4)], dim=1))
        down5 = self.down5(out4)
        out5 = self.norm5(torch.cat([down5, self.level5(down5)], dim=1))
        told: Tensor = self.diagnosis(out5.mean(dim=(2, 3)))
        return told


def _modules(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ESP(channels, channels, k=_K, reduce_kernel=3, act="relu") for _ in range(count)))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _mean_over(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return the map averaged onto a coarser grid, (N, C, rows, columns)."""
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return F.adaptive_avg_pool2d(x, (rows, columns))
    # ONNX pools only to sizes that divide the map's; two products with constants are the same sums.
    height, width = plain_size(x)
    with traced_constants():
        down, across = _bins(height, rows), _bins(width, columns)
    return torch.matmul(torch.matmul(down.to(x), x), across.to(x).T)


def _bins(size: int, count: int) -> Tensor:
    """Return (count, size): row i means i size / count, rounded down, to (i + 1) size / count, up."""
    # In NumPy, so that a traced graph gets the values, not how they came about.
    weights = np.zeros((count, size), np.float32)
    for index in range(count):
        start, stop = index * size // count, -(-(index + 1) * size // count)
        weights[index, start:stop] = 1 / (stop - start)
    return torch.from_numpy(weights)
