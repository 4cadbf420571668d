"""Build a network by name, with few, literal, typed options."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from wsiseg.errors import UsageError, choose
from wsiseg.models.enet import ENet
from wsiseg.models.erfnet import ERFNet
from wsiseg.models.espnet import ESPNet, ESPNetEncoder
from wsiseg.models.espnet_layout import Decoder
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.options import check_choices, check_known, encoder_options, espnet_layout
from wsiseg.models.unet import UNet
from wsiseg.models.ynet import YNet, YNetJoint

MAX_CLASSES = 254


def espnet(num_classes: int, *, decoder: Decoder = "v1", **options: Any) -> ESPNet:
    """Return ESPNet: the encoder C and the decoder; logits at full size."""
    return ESPNet(espnet_layout(num_classes, decoder=decoder, **options))


def espnet_c(num_classes: int, **options: Any) -> ESPNetEncoder:
    """Return ESPNet-C: input reinforcement and concatenation; logits at an eighth."""
    return ESPNetEncoder(num_classes, "c", encoder_options("espnet-c", options))


def espnet_b(num_classes: int, **options: Any) -> ESPNetEncoder:
    """Return ESPNet-B: concatenation, no input reinforcement; logits at an eighth."""
    return ESPNetEncoder(num_classes, "b", encoder_options("espnet-b", options))


def espnet_a(num_classes: int, **options: Any) -> ESPNetEncoder:
    """Return ESPNet-A, the start of the paper's path; logits at an eighth."""
    return ESPNetEncoder(num_classes, "a", encoder_options("espnet-a", options))


def enet(num_classes: int, **options: Any) -> ENet:
    """Return ENet; logits at full size."""
    check_known("enet", options, [])
    return ENet(num_classes)


def erfnet(num_classes: int, **options: Any) -> ERFNet:
    """Return ERFNet; logits at full size."""
    check_known("erfnet", options, [])
    return ERFNet(num_classes)


def unet(num_classes: int, **options: Any) -> UNet:
    """Return U-Net, padded, with BN; `width` 64 (the paper's), 32, 16 or 8; logits at full size."""
    check_known("unet", options, ["width"])
    check_choices("unet", options)
    return UNet(num_classes, **options)


def ynet(num_classes: int, **options: Any) -> YNet:
    """Return Y-Net's segmentation arm; logits at full size."""
    check_known("ynet", options, [])
    return YNet(num_classes)


def ynet_joint(num_classes: int, **options: Any) -> YNetJoint:
    """Return Y-Net with both arms: logits at full size, and `both` and `diagnose` for `diagnoses` outputs.

    `idle_branches` (true): with the weights that the publication counts and the network never uses.
    """
    check_known("ynet-joint", options, ["diagnoses", "idle_branches"])
    check_choices("ynet-joint", options)
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
    check_known(name, options, ["stem"] if name == "pspnet" else [])
    check_choices(name, options)
    # Imported only when named: nothing else here needs them.
    module = import_module(f"wsiseg.models.reference.{name.replace('-', '_')}")
    network: SegmentationNetwork = getattr(module, REFERENCE[name])(num_classes, **options)
    return network
