"""What an ESPNet is made of: its options, and the names and shapes of its tensors. No torch.

Source: Mehta et al., ECCV 2018, appendix B, and its release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

Activation = Literal["prelu", "relu"]
Variant = Literal["a", "b", "c"]
Down = Literal["strided-esp", "strided-conv"]
Decoder = Literal["v1", "v2"]
Module = Literal["esp", "mobilenet", "shufflenet", "inception", "resnext", "resnet", "atrous-pyramid"]
Shapes = Iterator[tuple[str, tuple[int, ...]]]
"""Names and shapes of tensors."""

BN_EPS = 1e-3
"""Of every normalisation."""
STRIDED_K = 5
"""The strided ESPs and the decoder keep K = 5 whatever `k` is: only so do the counts of table 2e come out."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What can be chosen in the encoder."""

    alpha2: int = 2
    """ESP modules at a quarter of the resolution (64 channels)."""
    alpha3: int = 8
    """ESP modules at an eighth of the resolution (128 channels)."""
    k: int = 5
    """Width divider: branches, and dilations 1, 2, 4 ... 2^(k-1), of the modules that do not down-sample."""
    activation: Activation = "prelu"
    residual: bool = True
    hff: bool = True
    """Hierarchical feature fusion, against gridding."""
    downsampling: Down = "strided-esp"
    reduce_kernel: int = 1
    """Side of the convolution that narrows: 1, or 3 for the paper's C1."""
    dilated: bool = True
    """False: plain 3x3 convolutions in all branches (the paper's C3)."""
    module: Module = "esp"
    """Another paper's module in the place of ESP."""


def branch_widths(channels: int, k: int) -> list[int]:
    """Return the channels of an ESP's branches: the first has what is left over."""
    narrow = channels // k
    return [channels - (k - 1) * narrow, *[narrow] * (k - 1)]


@dataclass(frozen=True)
class ESPNetLayout:
    """An ESPNet with its decoder."""

    num_classes: int
    options: EncoderOptions
    decoder: Decoder

    input_multiple: ClassVar[int] = 8
    """Both sides of the input are multiples of this."""

    @property
    def is_all_esp(self) -> bool:
        """Whether every module is an ESP: what `shapes` knows."""
        return self.options.module == "esp" and self.options.downsampling == "strided-esp"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that belongs in a file, by name; only where `is_all_esp`."""
        return dict(self._encoder("encoder.")) | dict(self._decoder())

    def _encoder(self, at: str) -> Shapes:
        chosen = self.options
        yield from self._conv(f"{at}level1.conv", 3, 16, 3)
        yield from self._norm_act(f"{at}level1.norm", 16)
        yield from self._norm_act(f"{at}norm1", 19)
        for level, given, width, modules in ((2, 19, 64, chosen.alpha2), (3, 131, 128, chosen.alpha3)):
            yield from self._esp(f"{at}down{level}", given, width, STRIDED_K, 3)
            for index in range(modules):
                yield from self._esp(
                    f"{at}level{level}.{index}", width, width, chosen.k, chosen.reduce_kernel
                )
        yield from self._norm_act(f"{at}norm2", 131)
        yield from self._norm_act(f"{at}norm3", 256)
        yield from self._conv(f"{at}classifier", 256, self.num_classes, 1)

    def _decoder(self) -> Shapes:
        classes = self.num_classes
        yield from self._norm("norm3", classes)
        for name in ("up3", "up2.0", "up1"):
            yield f"{name}.weight", (classes, classes, 2, 2)
        yield from self._conv("reduce2", 131, classes, 1)
        yield from self._norm_act("merge2.0", 2 * classes)
        yield from self._esp("merge2.1", 2 * classes, classes, STRIDED_K, 1)
        yield from self._norm_act("up2.1", classes)
        yield from self._conv("merge1.conv", (16 if self.decoder == "v1" else 19) + classes, classes, 3)
        yield from self._norm_act("merge1.norm", classes)

    def _esp(self, at: str, given: int, made: int, k: int, reduce_kernel: int) -> Shapes:
        widths = branch_widths(made, k)
        yield from self._conv(f"{at}.reduce", given, made // k, reduce_kernel)
        for index, width in enumerate(widths):
            yield from self._conv(f"{at}.branches.{index}", made // k, width, 3)
        yield from self._norm_act(f"{at}.norm", made)

    def _norm_act(self, at: str, channels: int) -> Shapes:
        yield from self._norm(f"{at}.bn", channels)
        if self.options.activation == "prelu":
            yield f"{at}.act.weight", (channels,)

    def _norm(self, at: str, channels: int) -> Shapes:
        for name in ("weight", "bias", "running_mean", "running_var"):
            yield f"{at}.{name}", (channels,)

    def _conv(self, at: str, given: int, made: int, kernel: int) -> Shapes:
        yield f"{at}.weight", (made, given, kernel, kernel)
