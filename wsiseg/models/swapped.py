"""Other papers' modules in the place of ESP (figures 3 and 5): a RECONSTRUCTION.

The layer widths stand only in the drawings of the ESPNet paper; here the narrow width is d = N / K
everywhere, as the caption of figure 5 says, and every convolution is followed by BN + activation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from wsiseg.models.blocks import BNAct, ConvBNAct, conv
from wsiseg.models.espnet_layout import Activation

SHUFFLE_GROUPS = 4


class _Residual(nn.Module):
    """x + body(x), then BN + activation."""

    def __init__(self, body: nn.Module, channels: int, act: Activation) -> None:
        super().__init__()
        self.body = body
        self.norm = BNAct(channels, act)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x + self.body(x))
        return y


class _Branches(nn.Module):
    """Several paths side by side, concatenated, or summed."""

    def __init__(self, paths: list[nn.Module], *, add: bool = False) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        parts = [path(x) for path in self.paths]
        return torch.stack(parts).sum(dim=0) if self.add else torch.cat(parts, dim=1)


class _Shuffle(nn.Module):
    """Interleave the channels of the groups (Zhang et al., CVPR 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        grouped = x.reshape(batch, SHUFFLE_GROUPS, channels // SHUFFLE_GROUPS, height, width)
        return grouped.transpose(1, 2).reshape(batch, channels, height, width)


def _widths(channels: int, k: int) -> list[int]:
    narrow = channels // k
    return [channels - (k - 1) * narrow] + [narrow] * (k - 1)


def mobilenet(channels: int, k: int, act: Activation) -> nn.Module:
    """Return a depth-wise 3x3, then a point-wise convolution (Howard et al., 2017)."""
    return nn.Sequential(
        ConvBNAct(channels, channels, 3, groups=channels, act=act), ConvBNAct(channels, channels, 1, act=act)
    )


def shufflenet(channels: int, k: int, act: Activation) -> nn.Module:
    """Return reduce (grouped), shuffle, depth-wise 3x3, expand (grouped), and the skip. `k` is taken as 4."""
    narrow = channels // 4
    body = nn.Sequential(
        ConvBNAct(channels, narrow, 1, groups=SHUFFLE_GROUPS, act=act),
        _Shuffle(),
        conv(narrow, narrow, 3, groups=narrow),
        nn.BatchNorm2d(narrow, eps=1e-3),
        conv(narrow, channels, 1, groups=SHUFFLE_GROUPS),
    )
    return _Residual(body, channels, act)


def inception(channels: int, k: int, act: Activation) -> nn.Module:
    """Return K paths of reduce 1x1 and a plain 3x3, concatenated (the homogeneous version of figure 3c)."""
    narrow = channels // k
    return _Branches(
        [
            nn.Sequential(ConvBNAct(channels, narrow, 1, act=act), ConvBNAct(narrow, width, 3, act=act))
            for width in _widths(channels, k)
        ]
    )


def resnext(channels: int, k: int, act: Activation) -> nn.Module:
    """Return K paths of reduce 1x1, 3x3, expand 1x1, summed, and the skip (Xie et al., CVPR 2017)."""
    narrow = channels // k
    paths: list[nn.Module] = [
        nn.Sequential(
            ConvBNAct(channels, narrow, 1, act=act),
            ConvBNAct(narrow, narrow, 3, act=act),
            conv(narrow, channels, 1),
        )
        for _ in range(k)
    ]
    return _Residual(_Branches(paths, add=True), channels, act)


def resnet(channels: int, k: int, act: Activation) -> nn.Module:
    """Return two plain 3x3 convolutions and the skip (He et al., CVPR 2016)."""
    body = nn.Sequential(ConvBNAct(channels, channels, 3, act=act), conv(channels, channels, 3))
    return _Residual(body, channels, act)


def atrous_pyramid(channels: int, k: int, act: Activation) -> nn.Module:
    """Return K dilated 3x3 convolutions of the whole input, concatenated (Chen et al., DeepLab)."""
    paths: list[nn.Module] = [
        conv(channels, width, 3, dilation=2**index) for index, width in enumerate(_widths(channels, k))
    ]
    return nn.Sequential(_Branches(paths), BNAct(channels, act))


SWAPPED: dict[str, Callable[[int, int, Activation], nn.Module]] = {
    "mobilenet": mobilenet,
    "shufflenet": shufflenet,
    "inception": inception,
    "resnext": resnext,
    "resnet": resnet,
    "atrous-pyramid": atrous_pyramid,
}
