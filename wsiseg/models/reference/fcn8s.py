"""FCN-8s. Source: Long, Shelhamer and Darrell, CVPR 2015; layer sizes of the authors' VOC network.

The authors pad the image by 100 px and crop the result; here every layer keeps its size, which changes
borders and no count.
"""

from __future__ import annotations

from torch import Tensor, nn

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import bilinear_deconvolution, initialise
from wsiseg.models.reference.vgg import VGG16, WIDE, halve


class FCN8s(SegmentationNetwork):
    """FCN-8s on VGG-16: (N, 3, H, W) -> logits (N, C, H, W)."""

    input_multiple = 32

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.backbone = VGG16(wide_dilation=1)
        self.score = nn.Conv2d(WIDE, num_classes, 1)
        self.score4 = nn.Conv2d(512, num_classes, 1)
        self.score3 = nn.Conv2d(256, num_classes, 1)
        initialise(self)
        self.up5 = bilinear_deconvolution(num_classes, 2)
        self.up4 = bilinear_deconvolution(num_classes, 2)
        self.up3 = bilinear_deconvolution(num_classes, 8)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x, pooled = image, []
        for number in range(5):
            x = halve(self.backbone.stage(x, number))
            pooled.append(x)
        y = self.up5(self.score(self.backbone.wide(x)))  # (C, H/16)
        y = self.up4(y + self.score4(pooled[3]))  # (C, H/8)
        logits: Tensor = self.up3(y + self.score3(pooled[2]))
        return logits
