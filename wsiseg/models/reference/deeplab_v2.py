"""DeepLab-v2 without its CRF. Source: Chen et al., TPAMI 2018 (arXiv 1606.00915), ResNet-101 with ASPP-L."""

from __future__ import annotations

from torch import Tensor, nn

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import enlarge, initialise
from wsiseg.models.reference.resnet import CHANNELS, ResNet101

DILATIONS = (6, 12, 18, 24)


class DeepLabV2(SegmentationNetwork):
    """DeepLab-v2 at one scale: (N, 3, H, W) -> logits (N, C, H, W), made at 1/8 and enlarged."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.backbone = ResNet101(dilated=True)
        self.pyramid = nn.ModuleList(
            nn.Conv2d(CHANNELS[-1], num_classes, 3, padding=step, dilation=step) for step in DILATIONS
        )
        initialise(self)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x = self.backbone(image)[-1]
        first, *others = [branch(x) for branch in self.pyramid]
        return enlarge(sum(others, start=first), 8)
