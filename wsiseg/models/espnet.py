"""ESPNet and its encoders A, B and C. Source: Mehta et al., ECCV 2018, appendix B, and its release."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from wsiseg.models.blocks import ESP, BNAct, ConvBNAct, ImagePyramid, conv
from wsiseg.models.espnet_layout import BN_EPS, STRIDED_K, EncoderOptions, ESPNetLayout, Variant
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.swapped import SWAPPED


class ESPNetEncoder(SegmentationNetwork):
    """ESPNet-A, -B or -C: (N, 3, H, W) -> logits (N, C, H/8, W/8).

    C feeds the image in again at 1/2 and 1/4; B does not; A also leaves out the concatenation at 1/8.
    """

    output_stride = 8

    def __init__(
        self, num_classes: int, variant: Variant = "c", options: EncoderOptions | None = None
    ) -> None:
        super().__init__(num_classes)
        chosen = options or EncoderOptions()
        act = chosen.activation
        image = 3 if variant == "c" else 0
        down, module = _parts(chosen)
        self.variant = variant
        self.pyramid = ImagePyramid() if variant == "c" else None
        self.level1 = ConvBNAct(3, 16, 3, stride=2, act=act)
        self.norm1 = BNAct(16 + image, act)
        self.down2 = down(16 + image, 64)
        self.level2 = nn.Sequential(*(module(64) for _ in range(chosen.alpha2)))
        self.norm2 = BNAct(128 + image, act)
        self.down3 = down(128 + image, 128)
        self.level3 = nn.Sequential(*(module(128) for _ in range(chosen.alpha3)))
        width3 = 128 if variant == "a" else 256
        self.norm3 = BNAct(width3, act)
        self.classifier = conv(width3, num_classes, 1)
        self.level2_channels = 128 + image

    def features(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return level 1 raw (16) and normalised (16 or 19), level 2 (128 or 131, H/4), logits (C, H/8)."""
        raw1 = self.level1(image)
        reinforced = self.pyramid(image) if self.pyramid is not None else ()
        out1 = self.norm1(torch.cat([raw1, *reinforced[:1]], dim=1))
        down2 = self.down2(out1)
        # The order here differs from level 3; the released weights depend on it.
        out2 = self.norm2(torch.cat([self.level2(down2), down2, *reinforced[1:]], dim=1))
        down3 = self.down3(out2)
        deep = self.level3(down3)
        out3 = self.norm3(deep if self.variant == "a" else torch.cat([down3, deep], dim=1))
        return raw1, out1, out2, self.classifier(out3)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H/8, W/8)."""
        return self.features(image)[3]


class ESPNet(SegmentationNetwork):
    """ESPNet-C with the decoder (reduce, up-sample, merge): (N, 3, H, W) -> logits (N, C, H, W).

    Decoder `v1` merges the raw level 1 (16 channels: the released Cityscapes weights), `v2` the
    normalised one with the image (19: the released CamVid weights).
    """

    input_multiple = ESPNetLayout.input_multiple

    def __init__(self, layout: ESPNetLayout) -> None:
        num_classes, act = layout.num_classes, layout.options.activation
        super().__init__(num_classes)
        self.layout = layout
        self.encoder = ESPNetEncoder(num_classes, "c", layout.options)
        self.norm3 = nn.BatchNorm2d(num_classes, eps=BN_EPS)
        self.up3 = _up(num_classes)
        self.reduce2 = conv(self.encoder.level2_channels, num_classes, 1)
        self.merge2 = nn.Sequential(
            BNAct(2 * num_classes, act),
            ESP(2 * num_classes, num_classes, k=STRIDED_K, residual=False, act=act),
        )
        self.up2 = nn.Sequential(_up(num_classes), BNAct(num_classes, act))
        self.merge1 = ConvBNAct((16 if layout.decoder == "v1" else 19) + num_classes, num_classes, 3, act=act)
        self.up1 = _up(num_classes)

    def segment(self, image: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        raw1, out1, out2, logits = self.encoder.features(image)
        deep = self.up3(self.norm3(logits))  # (N, C, H/4, W/4)
        deep = self.up2(self.merge2(torch.cat([self.reduce2(out2), deep], dim=1)))  # (N, C, H/2, W/2)
        shallow = raw1 if self.layout.decoder == "v1" else out1
        y: Tensor = self.up1(self.merge1(torch.cat([deep, shallow], dim=1)))
        return y


def _up(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)


def _parts(
    chosen: EncoderOptions,
) -> tuple[Callable[[int, int], nn.Module], Callable[[int], nn.Module]]:
    """Return what down-samples (in, out) and what is repeated (channels)."""
    act = chosen.activation

    def down(in_channels: int, out_channels: int) -> nn.Module:
        if chosen.downsampling == "strided-conv":
            return ConvBNAct(in_channels, out_channels, 3, stride=2, act=act)
        return ESP(
            in_channels,
            out_channels,
            k=STRIDED_K,
            stride=2,
            hff=chosen.hff,
            dilated=chosen.dilated,
            act=act,
        )

    def module(channels: int) -> nn.Module:
        if chosen.module != "esp":
            return SWAPPED[chosen.module](channels, chosen.k, act)
        return ESP(
            channels,
            channels,
            k=chosen.k,
            residual=chosen.residual,
            hff=chosen.hff,
            dilated=chosen.dilated,
            reduce_kernel=chosen.reduce_kernel,
            act=act,
        )

    return down, module
