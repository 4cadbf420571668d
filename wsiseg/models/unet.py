"""U-Net, the baseline pathologists know. Source: Ronneberger et al., MICCAI 2015; padded, with BN.

Against the paper: convolutions keep the size (so no cropping), and each is followed by BN, hence has no bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsiseg.models.network import SegmentationNetwork

DEPTH = 4


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class UNet(SegmentationNetwork):
    """U-Net: (N, 3, H, W) -> logits (N, C, H, W); `width` channels at full size, doubled 4 times."""

    input_multiple = 2**DEPTH

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__(num_classes)
        widths = [width * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(
            _double(before, after) for before, after in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * channels, channels, 2, stride=2) for channels in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(_double(2 * channels, channels) for channels in reversed(widths[:-1]))
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x = image
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        y: Tensor = self.classifier(x)
        return y
