"""SegNet. Source: Badrinarayanan, Kendall and Cipolla, TPAMI 2017 (arXiv 1511.00561).

VGG-16's convolutions with BN; the decoder mirrors them and puts values back where the poolings took them.
"""

from __future__ import annotations

from torch import Tensor, nn

from wsiseg.models.enet import pool, unpool
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import initialise
from wsiseg.models.reference.vgg import STAGES, VGG16


class SegNet(SegmentationNetwork):
    """SegNet: (N, 3, H, W) -> logits (N, C, H, W)."""

    input_multiple = 32

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.backbone = VGG16(norm=True)
        self.decoder = nn.ModuleList()
        for number in reversed(range(len(STAGES))):
            width, count = STAGES[number]
            out = STAGES[number - 1][0] if number else width
            # The last convolution of all is the classifier, below.
            self.decoder.append(_mirror(width, count if number else count - 1, out))
        self.classifier = nn.Conv2d(STAGES[0][0], num_classes, 3, padding=1)
        initialise(self)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x, places = image, []
        for number in range(len(STAGES)):
            x, place = pool(self.backbone.stage(x, number))
            places.append(place)
        for stage in self.decoder:
            x = stage(unpool(x, places.pop()))
        logits: Tensor = self.classifier(x)
        return logits


def _mirror(width: int, count: int, out: int) -> nn.Sequential:
    """Return `count` 3x3 convolutions with BN and ReLU, the last of them to `out` channels."""
    layers: list[nn.Module] = []
    for number in range(count):
        channels = out if number == count - 1 else width
        layers += [nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers)
