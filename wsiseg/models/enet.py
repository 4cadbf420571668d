"""ENet. Source: Paszke et al., 2016 (arXiv 1606.02147), table 1 and section 4.

PReLU throughout, convolutions without bias. Bottlenecks are a quarter as wide as their output. What the
paper leaves open and is decided here: the last full convolution is 3x3 and has no bias either.
Max-pooling positions are kept as one-hot masks instead of flat indices: max-unpooling of those has no
ONNX form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.blocks import BNAct
from wsiseg.models.network import SegmentationNetwork


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max-pooling: (N, C, H, W) -> values and places (0..3, reading order), (N, C, H/2, W/2) each."""
    corners = [x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return F.max_pool2d(x, 2), torch.stack(corners).argmax(dim=0)


def unpool(x: Tensor, place: Tensor) -> Tensor:
    """Put each value where the pooling took it from, zeros elsewhere: (N, C, H, W) -> (N, C, 2H, 2W)."""
    corners = [x * (place == corner).to(x.dtype) for corner in range(4)]
    top = torch.stack(corners[:2], dim=-1).flatten(-2)  # (N, C, H, 2W)
    bottom = torch.stack(corners[2:], dim=-1).flatten(-2)
    return torch.stack([top, bottom], dim=-2).flatten(-3, -2)


class Bottleneck(nn.Module):
    """1x1 to a quarter, a main convolution, 1x1 back, dropout; added to the input; PReLU."""

    def __init__(self, channels: int, *, dropout: float, dilation: int = 1, asymmetric: bool = False) -> None:
        super().__init__()
        narrow = channels // 4
        main: list[nn.Module]
        if asymmetric:
            main = [
                nn.Conv2d(narrow, narrow, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(narrow, narrow, (1, 5), padding=(0, 2), bias=False),
            ]
        else:
            main = [nn.Conv2d(narrow, narrow, 3, padding=dilation, dilation=dilation, bias=False)]
        self.extension = _extension(
            nn.Conv2d(channels, narrow, 1, bias=False), main, narrow, channels, dropout
        )
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        y: Tensor = self.act(x + self.extension(x))
        return y


class DownBottleneck(nn.Module):
    """As above, halving the size: 2x2 stride 2 first; the main path is max-pooled, and padded in depth."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__()
        narrow = out_channels // 4
        self.extension = _extension(
            nn.Conv2d(in_channels, narrow, 2, stride=2, bias=False),
            [nn.Conv2d(narrow, narrow, 3, padding=1, bias=False)],
            narrow,
            out_channels,
            dropout,
        )
        self.narrower = in_channels
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, in, H, W) -> (N, out, H/2, W/2) and the places of the maxima (N, in, H/2, W/2)."""
        main, place = pool(x)
        extension = self.extension(x)
        # The main path has fewer channels; adding it to the first ones is the paper's zero-padding.
        total = torch.cat([main + extension[:, : self.narrower], extension[:, self.narrower :]], dim=1)
        return self.act(total), place


class UpBottleneck(nn.Module):
    """As above, doubling the size: a full convolution; the main path is narrowed 1x1 and max-unpooled."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__()
        narrow = out_channels // 4
        self.main = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels, eps=1e-3)
        )
        self.extension = _extension(
            nn.Conv2d(in_channels, narrow, 1, bias=False),
            [nn.ConvTranspose2d(narrow, narrow, 3, stride=2, padding=1, output_padding=1, bias=False)],
            narrow,
            out_channels,
            dropout,
        )
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        """(N, in, H, W) and places (N, out, H, W) -> (N, out, 2H, 2W)."""
        y: Tensor = self.act(unpool(self.main(x), place) + self.extension(x))
        return y


class ENet(SegmentationNetwork):
    """ENet: (N, 3, H, W) -> logits (N, C, H, W)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.initial = nn.Conv2d(3, 13, 3, stride=2, padding=1, bias=False)
        self.initial_norm = BNAct(16)
        self.down1 = DownBottleneck(16, 64, dropout=0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(64, dropout=0.01) for _ in range(4)))
        self.down2 = DownBottleneck(64, 128, dropout=0.1)
        self.stage2 = _stage()
        self.stage3 = _stage()
        self.up4 = UpBottleneck(128, 64, dropout=0.1)
        self.stage4 = nn.Sequential(*(Bottleneck(64, dropout=0.1) for _ in range(2)))
        self.up5 = UpBottleneck(64, 16, dropout=0.1)
        self.stage5 = Bottleneck(16, dropout=0.1)
        self.full = nn.ConvTranspose2d(16, num_classes, 3, stride=2, padding=1, output_padding=1, bias=False)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        x = self.initial_norm(torch.cat([self.initial(image), F.max_pool2d(image, 2)], dim=1))  # (16, H/2)
        x, place1 = self.down1(x)  # (64, H/4)
        x, place2 = self.down2(self.stage1(x))  # (128, H/8)
        x = self.stage3(self.stage2(x))
        x = self.stage4(self.up4(x, place2))  # (64, H/4)
        x = self.stage5(self.up5(x, place1))  # (16, H/2)
        y: Tensor = self.full(x)
        return y


def _extension(
    reduce: nn.Module, main: list[nn.Module], narrow: int, out_channels: int, dropout: float
) -> nn.Sequential:
    return nn.Sequential(
        reduce,
        BNAct(narrow),
        *main,
        BNAct(narrow),
        nn.Conv2d(narrow, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels, eps=1e-3),
        nn.Dropout2d(dropout),
    )


def _stage() -> nn.Sequential:
    """Return bottlenecks 1 to 8 of stage 2; stage 3 repeats them."""
    return nn.Sequential(
        Bottleneck(128, dropout=0.1),
        Bottleneck(128, dropout=0.1, dilation=2),
        Bottleneck(128, dropout=0.1, asymmetric=True),
        Bottleneck(128, dropout=0.1, dilation=4),
        Bottleneck(128, dropout=0.1),
        Bottleneck(128, dropout=0.1, dilation=8),
        Bottleneck(128, dropout=0.1, asymmetric=True),
        Bottleneck(128, dropout=0.1, dilation=16),
    )
