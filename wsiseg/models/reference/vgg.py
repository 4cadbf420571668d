"""VGG-16 as a backbone. Source: Simonyan and Zisserman, ICLR 2015, configuration D.

Parameter names are those of torchvision's `vgg16` (with `norm`: `vgg16_bn`). The first two fully connected
layers are convolutions here, with the same values in another shape; the third, the classifier of 1000
classes, is left out.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""(channels, 3x3 convolutions) between the poolings."""
WIDE = 4096


class VGG16(nn.Module):
    """The five stages of 3x3 convolutions, and where asked for the two wide layers after them."""

    def __init__(
        self, *, norm: bool = False, last_dilation: int = 1, wide_dilation: int | None = None
    ) -> None:
        """`norm`: BN after every convolution. `wide_dilation`: of the first wide layer; None: none."""
        super().__init__()
        layers: list[nn.Module] = []
        self._spans: list[tuple[int, int]] = []
        channels = 3
        for number, (width, count) in enumerate(STAGES):
            begin = len(layers)
            dilation = last_dilation if number == len(STAGES) - 1 else 1
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation))
                layers += [nn.BatchNorm2d(width)] if norm else []
                layers.append(nn.ReLU())
                channels = width
            self._spans.append((begin, len(layers)))
            layers.append(nn.Identity())  # the pooling, which the networks do themselves; keeps the numbering
        self.features = nn.Sequential(*layers)
        if wide_dilation is not None:
            self.classifier = nn.Sequential(
                nn.Conv2d(channels, WIDE, 7, padding=3 * wide_dilation, dilation=wide_dilation),
                nn.ReLU(),
                nn.Dropout(),
                nn.Conv2d(WIDE, WIDE, 1),
                nn.ReLU(),
                nn.Dropout(),
            )

    def stage(self, x: Tensor, number: int) -> Tensor:
        """Return x after the convolutions of stage 0 to 4, at the same size."""
        begin, end = self._spans[number]
        for layer in list(self.features)[begin:end]:
            x = layer(x)
        return x

    def wide(self, x: Tensor) -> Tensor:
        """(N, 512, H, W) -> (N, 4096, H, W): the two wide layers."""
        y: Tensor = self.classifier(x)
        return y


def halve(x: Tensor) -> Tensor:
    """2x2 max-pooling: (N, C, H, W) -> (N, C, H/2, W/2)."""
    return F.max_pool2d(x, 2)
