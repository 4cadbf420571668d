"""ResNet-101 as a backbone. Source: He et al., CVPR 2016; the stride in the 3x3, as in torchvision's weights.

Parameter names are those of torchvision's `resnet101`; its classifier is left out. The deep stem, three 3x3
convolutions for one 7x7, is that of the PSPNet authors; torchvision has no weights for it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = (3, 4, 23, 3)
EXPANSION = 4
CHANNELS = (256, 512, 1024, 2048)
"""Of the four stages' outputs."""


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with BN; added to the input; ReLU."""

    def __init__(self, in_channels: int, width: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, 4 * width, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet101(nn.Module):
    """(N, 3, H, W) -> the four stages' outputs, at 1/4, 1/8, 1/16 and 1/32, or at 1/4 and 1/8 thrice."""

    def __init__(self, *, dilated: bool = False, deep_stem: bool = False) -> None:
        """`dilated`: the last two stages keep the size, with dilations 2 and 4 in place of strides."""
        super().__init__()
        stem = 128 if deep_stem else 64
        self.conv1 = _deep_stem() if deep_stem else nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = _stage(stem, 64, BLOCKS[0], stride=1)
        self.layer2 = _stage(CHANNELS[0], 128, BLOCKS[1], stride=2)
        last = ((1, 2), (1, 4)) if dilated else ((2, 1), (2, 1))
        self.layer3 = _stage(CHANNELS[1], 256, BLOCKS[2], stride=last[0][0], dilation=last[0][1])
        self.layer4 = _stage(CHANNELS[2], 512, BLOCKS[3], stride=last[1][0], dilation=last[1][1])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs of the four stages, of 256, 512, 1024 and 2048 channels."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, stride=2, padding=1)
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


def _stage(in_channels: int, width: int, count: int, *, stride: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        Bottleneck(in_channels, width, stride=stride, dilation=dilation),
        *(Bottleneck(width * EXPANSION, width, stride=1, dilation=dilation) for _ in range(count - 1)),
    )


def _deep_stem() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, padding=1, bias=False),
    )
