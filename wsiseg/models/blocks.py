"""The parts ESPNet is made of. Source: Mehta et al., ECCV 2018, and the order of operations of its release.

No convolution has a bias; batch normalisation has eps 1e-3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsiseg.models.espnet_layout import BN_EPS, Activation, branch_widths


def activation(kind: Activation, channels: int) -> nn.Module:
    """Return PReLU with one slope per channel, or ReLU."""
    return nn.PReLU(channels) if kind == "prelu" else nn.ReLU()


def conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution that keeps the size (divided by the stride); no bias."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=dilation * (kernel - 1) // 2,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


class BNAct(nn.Module):
    """Batch normalisation, then the activation."""

    def __init__(self, channels: int, act: Activation = "prelu") -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=BN_EPS)
        self.act = activation(act, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        y: Tensor = self.act(self.bn(x))
        return y


class ConvBNAct(nn.Module):
    """Convolution, batch normalisation, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        act: Activation = "prelu",
    ) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, kernel, stride=stride, groups=groups)
        self.norm = BNAct(out_channels, act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        y: Tensor = self.norm(self.conv(x))
        return y


class ESP(nn.Module):
    """Efficient spatial pyramid: reduce, K dilated 3x3 convolutions side by side, fuse, add, normalise.

    With stride 2 it down-samples: the reduction is then 3x3 with that stride, and nothing is added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        k: int = 5,
        stride: int = 1,
        residual: bool = True,
        hff: bool = True,
        dilated: bool = True,
        reduce_kernel: int = 1,
        act: Activation = "prelu",
    ) -> None:
        super().__init__()
        narrow = out_channels // k
        self.reduce = conv(in_channels, narrow, 3 if stride == 2 else reduce_kernel, stride=stride)
        self.branches = nn.ModuleList(
            conv(narrow, width, 3, dilation=2**index if dilated else 1)
            for index, width in enumerate(branch_widths(out_channels, k))
        )
        self.norm = BNAct(out_channels, act)
        self.hff = hff
        self.residual = residual and stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        reduced = self.reduce(x)
        parts = [branch(reduced) for branch in self.branches]
        if self.hff:
            # The release leaves the first branch out of the sums (the paper's figure does not); its
            # weights need this version, and the first branch may have another width.
            for index in range(2, len(parts)):
                parts[index] = parts[index - 1] + parts[index]
        merged = torch.cat(parts, dim=1)
        if self.residual:
            merged = merged + x
        y: Tensor = self.norm(merged)
        return y


class ImagePyramid(nn.Module):
    """The input image at half the size, as ESPNet feeds it in again: 3x3 mean, stride 2, padding counted."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> (N, 3, H/2, W/2) and (N, 3, H/4, W/4), the second made from the first."""
        half = self.pool(image)
        return half, self.pool(half)
