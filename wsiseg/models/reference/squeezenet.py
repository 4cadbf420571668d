"""SqueezeNet 1.1 as a backbone. Source: Iandola et al., 2016 (arXiv 1602.07360), and its 1.1 release.

Parameter names are those of torchvision's `squeezenet1_1`; its classifier is left out. Every convolution and
pooling keeps or halves the size exactly (torchvision pads neither), so that a decoder's skips fit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

CHANNELS = (64, 128, 256, 512)
"""Of the outputs at 1/2, 1/4, 1/8 and 1/16."""
_ENDS = (2, 5, 8, 13)


class Fire(nn.Module):
    """1x1 to few channels, then 1x1 beside 3x3, concatenated."""

    def __init__(
        self, in_channels: int, narrow: int, width: int, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, width, 1)
        self.expand3x3 = nn.Conv2d(narrow, width, 3, padding=1)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, 2 * width, H, W)."""
        x = self.activation(self.squeeze(x))
        y: Tensor = self.activation(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))
        return y


class SqueezeNet(nn.Module):
    """(N, 3, H, W) -> its features before each pooling and at the end."""

    def __init__(self, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2, padding=1),
            activation(),
            nn.MaxPool2d(3, stride=2, padding=1),
            Fire(64, 16, 64, activation),
            Fire(128, 16, 64, activation),
            nn.MaxPool2d(3, stride=2, padding=1),
            Fire(128, 32, 128, activation),
            Fire(256, 32, 128, activation),
            nn.MaxPool2d(3, stride=2, padding=1),
            Fire(256, 48, 192, activation),
            Fire(384, 48, 192, activation),
            Fire(384, 64, 256, activation),
            Fire(512, 64, 256, activation),
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features at 1/2, 1/4, 1/8 and 1/16, of 64, 128, 256 and 512 channels."""
        x, found = image, []
        for number, layer in enumerate(self.features, start=1):
            if number - 1 in _ENDS:
                found.append(x)
            x = layer(x)
        return [*found, x]
