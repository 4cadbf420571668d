"""PSPNet. Source: Zhao et al., CVPR 2017; layer sizes of the authors' VOC network on ResNet-101.

The second classifier that helps their training is not part of the network that predicts, and is left out.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import enlarge, initialise
from wsiseg.models.reference.resnet import CHANNELS, ResNet101

BINS = (1, 2, 3, 6)
WIDTH = 512


class PSPNet(SegmentationNetwork):
    """PSPNet: (N, 3, H, W) -> logits (N, C, H, W), made at 1/8 and enlarged.

    `stem` deep is the authors'; single is the ResNet's own, for which there are public weights.
    """

    graph_has_sizes = True

    def __init__(self, num_classes: int, stem: Literal["deep", "single"] = "deep") -> None:
        super().__init__(num_classes)
        self.backbone = ResNet101(dilated=True, deep_stem=stem == "deep")
        self.pyramid = nn.ModuleList(_block(CHANNELS[-1], 1) for _ in BINS)
        self.merge = _block(CHANNELS[-1] + len(BINS) * WIDTH, 3)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(WIDTH, num_classes, 1)
        initialise(self)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x = self.backbone(image)[-1]  # (2048, H/8)
        levels = [x]
        for bins, block in zip(BINS, self.pyramid, strict=True):
            level = block(pool_to(x, bins))
            levels.append(F.interpolate(level, size=x.shape[2:], mode="bilinear", align_corners=False))
        y = self.dropout(self.merge(torch.cat(levels, dim=1)))
        return enlarge(self.classifier(y), 8)


def pool_to(x: Tensor, bins: int) -> Tensor:
    """Average into bins: (N, C, H, W) -> (N, C, bins, bins), as torch's adaptive pooling does.

    As two matrix products: adaptive pooling has no ONNX form where the bins do not divide the size.
    """
    return _averages(x.shape[2], bins, x) @ x @ _averages(x.shape[3], bins, x).T


def _averages(side: int, bins: int, like: Tensor) -> Tensor:
    """Return (bins, side): row i averages from floor(i * side / bins) to ceil((i + 1) * side / bins)."""
    # In tensors throughout: while a graph is traced, a side is one too, and must not become a number.
    at = torch.arange(side, device=like.device)
    bin_ = torch.arange(bins, device=like.device)[:, None]
    inside = (at * bins < (bin_ + 1) * side) & ((at + 1) * bins > bin_ * side)
    weights = inside.to(like.dtype)
    return weights / weights.sum(dim=1, keepdim=True)


def _block(in_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, WIDTH, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
    )
