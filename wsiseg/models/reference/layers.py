"""What the reference networks share: a beginning for their weights, and bilinear enlargement."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def initialise(network: nn.Module) -> None:
    """Draw the convolutions' weights as He et al. (ICCV 2015) do, with biases 0.

    Most of these networks have no normalisation: with torch's own, smaller weights, next to nothing of an
    image would reach the end of one that begins without a trained backbone.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W), bilinear."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def bilinear_deconvolution(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a full convolution without bias that begins as bilinear enlargement, channel by channel."""
    side = 2 * factor
    layer = nn.ConvTranspose2d(channels, channels, side, stride=factor, padding=factor // 2, bias=False)
    ramp = 1 - (torch.arange(side, device=layer.weight.device) - (side - 1) / 2).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = torch.outer(ramp, ramp)
    return layer
