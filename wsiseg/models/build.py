"""Build a network by name, with few, literal, typed options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any, get_args

from wsiseg.errors import UsageError, choose
from wsiseg.models.enet import ENet
from wsiseg.models.erfnet import ERFNet
from wsiseg.models.espnet import STRIDED_K, Decoder, Down, EncoderOptions, ESPNet, ESPNetEncoder, Module
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.unet import UNet
from wsiseg.models.ynet import YNet, YNetJoint

MAX_CLASSES = 254
MAX_ALPHA = 64
"""More modules than any published network has; a card that asks for more is damaged or hostile."""
MAX_DIAGNOSES = 64

_CHOICES: dict[str, Sequence[object]] = {
    "activation": ("prelu", "relu"),
    "residual": (True, False),
    "hff": (True, False),
    "dilated": (True, False),
    "downsampling": get_args(Down),
    "reduce_kernel": (1, 3),
    "module": get_args(Module),
    "decoder": get_args(Decoder),
    "k": (2, 3, 4, 5, 6, 7, 8),
    "width": (8, 16, 32, 64),
    "diagnoses": range(2, MAX_DIAGNOSES + 1),
    "idle_branches": (True, False),
    "stem": ("deep", "single"),
}


def espnet(num_classes: int, *, decoder: Decoder = "v1", **options: Any) -> ESPNet:
    """Return ESPNet: the encoder C and the decoder; logits at full size."""
    _check_choices("espnet", {"decoder": decoder})
    if num_classes < STRIDED_K:
        raise UsageError(
            f"espnet has {num_classes} classes: its decoder divides the classes over {STRIDED_K} branches, "
            f"so it needs {STRIDED_K} or more; use espnet-c, or add classes"
        )
    return ESPNet(num_classes, _encoder_options("espnet", options), decoder)


def espnet_c(num_classes: int, **options: Any) -> ESPNetEncoder:
    """Return ESPNet-C: input reinforcement and concatenation; logits at an eighth."""
    return ESPNetEncoder(num_classes, "c", _encoder_options("espnet-c", options))


def espnet_b(num_classes: int, **options: Any) -> ESPNetEncoder:
    """Return ESPNet-B: concatenation, no input reinforcement; logits at an eighth."""
    return ESPNetEncoder(num_classes, "b", _encoder_options("espnet-b", options))


def espnet_a(num_classes: int, **options: Any) -> ESPNetEncoder:
    """Return ESPNet-A, the start of the paper's path; logits at an eighth."""
    return ESPNetEncoder(num_classes, "a", _encoder_options("espnet-a", options))


def enet(num_classes: int, **options: Any) -> ENet:
    """Return ENet; logits at full size."""
    _check_known("enet", options, [])
    return ENet(num_classes)


def erfnet(num_classes: int, **options: Any) -> ERFNet:
    """Return ERFNet; logits at full size."""
    _check_known("erfnet", options, [])
    return ERFNet(num_classes)


def unet(num_classes: int, **options: Any) -> UNet:
    """Return U-Net, padded, with BN; `width` 64 (the paper's), 32, 16 or 8; logits at full size."""
    _check_known("unet", options, ["width"])
    _check_choices("unet", options)
    return UNet(num_classes, **options)


def ynet(num_classes: int, **options: Any) -> YNet:
    """Return Y-Net's segmentation arm; logits at full size."""
    _check_known("ynet", options, [])
    return YNet(num_classes)


def ynet_joint(num_classes: int, **options: Any) -> YNetJoint:
    """Return Y-Net with both arms: logits at full size, and `both` and `diagnose` for `diagnoses` outputs.

    `idle_branches` (true): with the weights that the publication counts and the network never uses.
    """
    _check_known("ynet-joint", options, ["diagnoses", "idle_branches"])
    _check_choices("ynet-joint", options)
    return YNetJoint(num_classes, **options)


MODELS: dict[str, Callable[..., SegmentationNetwork]] = {
    "espnet": espnet,
    "espnet-c": espnet_c,
    "espnet-b": espnet_b,
    "espnet-a": espnet_a,
    "enet": enet,
    "erfnet": erfnet,
    "unet": unet,
    "ynet": ynet,
    "ynet-joint": ynet_joint,
}

REFERENCE: dict[str, str] = {
    "fcn8s": "FCN8s",
    "segnet": "SegNet",
    "sqnet": "SQNet",
    "deeplab-v2": "DeepLabV2",
    "pspnet": "PSPNet",
    "refinenet": "RefineNet",
    "lrr": "LRR",
    "dilation8": "Dilation8",
    "multi-resolution": "MultiResolution",
}
"""The networks that the ESPNet paper compares itself with: classes in `wsiseg.models.reference`."""


def build_model(name: str, *, num_classes: int, **options: Any) -> SegmentationNetwork:
    """Return a freshly initialised network in training mode.

    It maps float32 (N, 3, H, W), normalised, to logits (N, num_classes, H / s, W / s) where s is its
    `output_stride`. Raises UsageError for a name, an option or a combination that does not exist, with
    the rule that it breaks.
    """
    if name not in MODELS and name not in REFERENCE:
        raise UsageError(choose("network", name, [*MODELS, *REFERENCE]))
    if (
        isinstance(num_classes, bool)
        or not isinstance(num_classes, int)
        or not 1 <= num_classes <= MAX_CLASSES
    ):
        raise UsageError(
            f"{name} has {num_classes!r} classes: expected a whole number from 1 to {MAX_CLASSES}"
        )
    return MODELS[name](num_classes, **options) if name in MODELS else _reference(name, num_classes, options)


def _reference(name: str, num_classes: int, options: dict[str, Any]) -> SegmentationNetwork:
    _check_known(name, options, ["stem"] if name == "pspnet" else [])
    _check_choices(name, options)
    # Imported only when named: nothing else here needs them.
    module = import_module(f"wsiseg.models.reference.{name.replace('-', '_')}")
    network: SegmentationNetwork = getattr(module, REFERENCE[name])(num_classes, **options)
    return network


def _encoder_options(name: str, options: dict[str, Any]) -> EncoderOptions:
    known = [field.name for field in fields(EncoderOptions)]
    _check_known(name, options, known, ["decoder"] if name == "espnet" else [])
    for option in ("alpha2", "alpha3"):
        value = options.get(option, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ALPHA:
            raise UsageError(f"{name}: {option} is {value!r}: expected a whole number from 1 to {MAX_ALPHA}")
    _check_choices(name, options)
    chosen = EncoderOptions(**options)
    _check_combination(name, chosen, options)
    return chosen


def _check_known(name: str, options: dict[str, Any], known: list[str], elsewhere: Sequence[str] = ()) -> None:
    for option in options:
        if option in known:
            continue
        if not known:
            raise UsageError(f"{name} has no options, but {option} is given: leave it out")
        raise UsageError(choose(f"option of {name}", option, [*known, *elsewhere]))


def _check_choices(name: str, options: dict[str, Any]) -> None:
    for option, valid in _CHOICES.items():
        if option not in options:
            continue
        value = options[option]
        # 1 == True in Python; a typed option keeps them apart.
        if not any(value == item and type(value) is type(item) for item in valid):
            said = f"{valid[0]} to {valid[-1]}" if isinstance(valid, range) else ", ".join(map(str, valid))
            raise UsageError(f"{name}: {option} is {value!r}: expected one of {said}")


def _check_combination(name: str, chosen: EncoderOptions, given: dict[str, Any]) -> None:
    if chosen.module == "esp":
        return
    for option in ("residual", "hff", "dilated", "reduce_kernel"):
        if option in given and given[option] != EncoderOptions.__dataclass_fields__[option].default:
            raise UsageError(
                f"{name}: {option}={given[option]!r} changes the ESP module, but module is "
                f"{chosen.module!r}; leave one of the two out"
            )
    if chosen.module == "shufflenet" and given.get("k", 4) != 4:
        raise UsageError(
            f"{name}: k is {chosen.k} with module 'shufflenet': the paper takes K = 4 and g = 4; leave k out"
        )
