"""The multi-resolution network of breast biopsies. Source: Mehta et al., WACV 2018; widths as released.

Two encoder-decoders, each on a ResNet-18: one sees all, one the middle alone; their answers are added there
and go through dilated convolutions. Every convolution but the ResNet's has a bias, as released.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.quiet import plain_size

MARGIN_PX = 64
"""The middle begins so far from each edge: 256 of the published 384 px."""
_LEAST_PX = 256
"""A side shorter than this has no margin: both networks see all of it."""


class MultiResolution(SegmentationNetwork):
    """(N, 3, H, W) -> logits (N, C, H, W). The published one keeps the middle alone; the rim is extra."""

    input_multiple = 32
    graph_has_sizes = True

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.norm = nn.BatchNorm2d(3)
        self.wide = EncoderDecoder(num_classes)
        self.middle = EncoderDecoder(num_classes)
        self.context = Context(num_classes)
        self.classifier = nn.Sequential(
            *_conv(num_classes, num_classes, 3), nn.Conv2d(num_classes, num_classes, 1)
        )

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        image = self.norm(image)
        seen: Tensor = self.wide(image)
        rim = [MARGIN_PX if side >= _LEAST_PX else 0 for side in plain_size(image)]
        rows, columns = (slice(edge, -edge or None) for edge in rim)
        middle = self.middle(image[:, :, rows, columns])
        fused = seen + F.pad(middle, (rim[1], rim[1], rim[0], rim[0]))
        logits: Tensor = self.classifier(self.context(fused))
        return logits


class EncoderDecoder(nn.Module):
    """Input-aware residual encoder, dense and sparse decoders: (N, 3, H, W) -> (N, C, H, W)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.layer1, self.layer2 = _stage(64, 64, 1), _stage(64, 128, 2)
        self.layer3, self.layer4 = _stage(128, 256, 2), _stage(256, 512, 2)
        self.image2, self.image4 = (nn.Sequential(nn.Conv2d(3, 64, 1), *_conv(64, 64, 3)) for _ in range(2))
        # Projections into the decoder at 1/16, 1/8 and 1/4, by how much finer the map is that they come from.
        self.to16 = nn.ModuleList(
            _project(*sizes) for sizes in ((64, 256, 8), (64, 256, 4), (64, 256, 4), (128, 256, 2))
        )
        self.to8 = nn.ModuleList(_project(*sizes) for sizes in ((64, 128, 4), (64, 128, 2), (64, 128, 2)))
        self.to4 = _project(64, 64, 2)
        self.up = nn.ModuleList(
            _up(*sizes) for sizes in ((512, 256), (256, 128), (128, 64), (64, 64), (64, 64))
        )
        self.dense = nn.Sequential(*_conv(64, classes, 1))
        self.told32 = _spread(512, classes)
        self.told = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in (256, 128, 64, 64, 64))
        self.spread = nn.ModuleList(
            nn.Sequential(_spread(classes, classes), nn.BatchNorm2d(classes), nn.ReLU()) for _ in range(4)
        )
        self.image1 = nn.Sequential(*_conv(3, classes, 3))
        self.merge = nn.Sequential(*_conv(classes, classes, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Return maps (N, C, H, W), after a ReLU."""
        half = F.avg_pool2d(image, 3, stride=2, padding=1)
        at2 = self.stem(image) + self.image2(half)
        at4 = F.max_pool2d(at2, 3, stride=2, padding=1) + self.image4(
            F.avg_pool2d(half, 3, stride=2, padding=1)
        )
        deep4 = self.layer1(at4)
        at8 = self.layer2(deep4)
        at16 = self.layer3(at8)
        at32 = self.layer4(at16)

        y = self.up[0](at32) + at16
        for project, x in zip(self.to16, (at2, at4, deep4, at8), strict=True):
            y = y + project(x)
        y = self.up[1](y) + at8
        for project, x in zip(self.to8, (at2, at4, deep4), strict=True):
            y = y + project(x)
        y = self.up[2](y) + deep4 + at4 + self.to4(at2)
        dense = self.dense(self.up[4](self.up[3](y) + at2))

        told16, told8, told4, shallow4, told2 = (
            told(x) for told, x in zip(self.told, (at16, at8, deep4, at4, at2), strict=True)
        )
        sparse = self.spread[0](self.told32(at32) + told16)
        sparse = self.spread[1](sparse + told8)
        sparse = self.spread[2](sparse + told4 + shallow4)
        sparse = self.spread[3](sparse + told2)
        merged: Tensor = self.merge(dense + self.image1(image) + sparse)
        return merged


class Context(nn.Module):
    """Dilated 3x3 convolutions 1, 2, 4, 8, 16, each added to the first and the input, then all together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            nn.Sequential(*_conv(channels, channels, 3, dilation=2**level)) for level in range(5)
        )
        self.merge = nn.Sequential(nn.ReLU(), *_conv(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        first = self.dilated[0](x)
        total, deep = x + first, first
        for layer in list(self.dilated)[1:]:
            deep = layer(deep) + first + x
            total = total + deep
        merged: Tensor = self.merge(total)
        return merged


class _Basic(nn.Module):
    """ResNet-18's block: two 3x3 with BN, added to the input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1:
            self.skip = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        return F.relu(self.body(x) + self.skip(x))


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Basic(in_channels, out_channels, stride), _Basic(out_channels, out_channels, 1))


def _conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """Return a convolution with a bias that keeps the size but for its stride, BN and ReLU."""
    padding = dilation * (kernel - 1) // 2
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding, dilation=dilation),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def _project(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*_conv(in_channels, out_channels, 1, stride=stride))


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def _spread(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """Return a 1x1 transposed convolution: every second pixel is told, the others have the bias alone."""
    return nn.ConvTranspose2d(in_channels, out_channels, 1, stride=2, output_padding=1)
