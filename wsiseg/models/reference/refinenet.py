"""RefineNet. Source: Lin et al., CVPR 2017, four cascaded blocks on ResNet-101 at one scale.

Chained pooling has four links, as in the authors' published networks (their figure draws two).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.reference.layers import enlarge, initialise
from wsiseg.models.reference.resnet import CHANNELS, ResNet101

WIDTHS = (512, 256, 256, 256)
"""Of the four blocks, from 1/32 to 1/4."""
LINKS = 4


class ResidualUnits(nn.Module):
    """So many times: ReLU, 3x3, ReLU, 3x3, added to the input."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), _conv(channels, channels, bias=True), nn.ReLU(), _conv(channels, channels)
            )
            for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        for unit in self.units:
            x = x + unit(x)
        return x


class ChainedPooling(nn.Module):
    """A chain of 5x5 max-pooling and 3x3 convolution; every link is added to the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.links = nn.ModuleList(_conv(channels, channels) for _ in range(LINKS))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        x = F.relu(x)
        link = x
        for conv in self.links:
            link = conv(F.max_pool2d(link, 5, stride=1, padding=2))
            x = x + link
        return x


class RefineNet(SegmentationNetwork):
    """RefineNet: (N, 3, H, W) -> logits (N, C, H, W), made at 1/4 and enlarged."""

    input_multiple = 32

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.backbone = ResNet101()
        self.narrow = nn.ModuleList(
            _conv(channels, width) for channels, width in zip(reversed(CHANNELS), WIDTHS, strict=True)
        )
        self.adapt = nn.ModuleList(ResidualUnits(width, 2) for width in WIDTHS)
        self.fuse_fine = nn.ModuleList(_conv(width, width) for width in WIDTHS[1:])
        self.fuse_coarse = nn.ModuleList(_conv(before, after) for before, after in pairwise(WIDTHS))
        self.pooling = nn.ModuleList(ChainedPooling(width) for width in WIDTHS)
        self.mix = nn.ModuleList(ResidualUnits(width, 3) for width in WIDTHS)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Conv2d(WIDTHS[-1], num_classes, 3, padding=1)
        initialise(self.backbone)
        for name, layer in self.named_modules():
            # The decoder's sums have no normalisation: small weights, as in the public code for training it.
            if isinstance(layer, nn.Conv2d) and not name.startswith("backbone"):
                nn.init.normal_(layer.weight, std=0.01)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        features = list(self.backbone(image))
        x = self.adapt[0](self.narrow[0](self.dropout(features.pop())))
        x = self.mix[0](self.pooling[0](x))
        for level in (1, 2, 3):
            fine = self.fuse_fine[level - 1](self.adapt[level](self.narrow[level](features.pop())))
            x = fine + enlarge(self.fuse_coarse[level - 1](x), 2)
            x = self.mix[level](self.pooling[level](x))
        return enlarge(self.classifier(self.dropout(x)), 4)


def _conv(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
