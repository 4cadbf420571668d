"""ERFNet. Source: Romera et al., IEEE T-ITS 2018, table I. Convolutions have biases; BN eps 1e-3."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.network import SegmentationNetwork


class NonBottleneck1D(nn.Module):
    """Two 3x3 convolutions, each split into 3x1 and 1x3; the second pair dilated; and the skip."""

    def __init__(self, channels: int, *, dropout: float, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, (3, 1), padding=(1, 0)),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, 3), padding=(0, 1)),
            nn.BatchNorm2d(channels, eps=1e-3),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation)),
            nn.BatchNorm2d(channels, eps=1e-3),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return F.relu(x + self.body(x))


class Downsampler(nn.Module):
    """3x3 stride 2 beside a 2x2 max-pooling, concatenated; BN; ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H/2, W/2)."""
        return F.relu(self.bn(torch.cat([self.conv(x), F.max_pool2d(x, 2)], dim=1)))


class Upsampler(nn.Module):
    """3x3 deconvolution with stride 2; BN; ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, 2H, 2W)."""
        return F.relu(self.bn(self.conv(x)))


class ERFNet(SegmentationNetwork):
    """ERFNet: (N, 3, H, W) -> logits (N, C, H, W)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.encoder = nn.Sequential(
            Downsampler(3, 16),
            Downsampler(16, 64),
            *(NonBottleneck1D(64, dropout=0.03) for _ in range(5)),
            Downsampler(64, 128),
            *(NonBottleneck1D(128, dropout=0.3, dilation=step) for step in (2, 4, 8, 16, 2, 4, 8, 16)),
        )
        self.decoder = nn.Sequential(
            Upsampler(128, 64),
            *(NonBottleneck1D(64, dropout=0.0) for _ in range(2)),
            Upsampler(64, 16),
            *(NonBottleneck1D(16, dropout=0.0) for _ in range(2)),
            nn.ConvTranspose2d(16, num_classes, 2, stride=2),
        )

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        y: Tensor = self.decoder(self.encoder(image))
        return y
