"""Dilation8. Source: Yu and Koltun, ICLR 2016: front end and the large context network, as released for VOC.

The authors reflect the image at its borders and pad no convolution of the front end; here every layer pads
with zeros and keeps its size, which changes borders and no count.
"""

from __future__ import annotations

from torch import Tensor, nn

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import enlarge, initialise
from wsiseg.models.reference.vgg import VGG16, WIDE, halve

CONTEXT = ((2, 1), (2, 1), (4, 2), (8, 4), (16, 8), (32, 16), (32, 1))
"""(channels per class, dilation) of the 3x3 convolutions."""


class Dilation8(SegmentationNetwork):
    """Dilation8: (N, 3, H, W) -> logits (N, C, H, W), made at 1/8 and enlarged."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.backbone = VGG16(last_dilation=2, wide_dilation=4)
        self.score = nn.Conv2d(WIDE, num_classes, 1)
        layers: list[nn.Module] = []
        channels = num_classes
        for factor, dilation in CONTEXT:
            width = factor * num_classes
            layers += [nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
            channels = width
        self.context = nn.Sequential(*layers, nn.Conv2d(channels, num_classes, 1))
        initialise(self)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x = image
        for number in range(5):
            x = self.backbone.stage(x, number)
            if number < 3:
                x = halve(x)
        return enlarge(self.context(self.score(self.backbone.wide(x))), 8)
