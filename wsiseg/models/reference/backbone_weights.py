"""Weights in the public torchvision layouts (resnet101, vgg16, vgg16_bn, squeezenet1_1), into a backbone."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models.checkpoint import load_tensors, stored_tensors
from wsiseg.models.network import SegmentationNetwork

MAX_BYTES = 1 << 30
"""vgg16, the largest of the layouts, has 553 MB."""
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""What the public weights were trained with: RGB, in units of 0..255."""
_CLASSIFIERS = ("fc.", "classifier.")
_COUNTER = "num_batches_tracked"


def load_backbone(network: SegmentationNetwork, path: str | Path) -> None:
    """Fill the network's backbone from a `.pth` state dict or a `.safetensors` file in torchvision's layout.

    The classifier of the 1000 classes is left out, and VGG's wide layers become convolutions. Everything
    else must fit by name, shape and dtype, and be finite. Nothing in a pickle is run. Raises UsageError for
    a network without such a backbone, ModelRefusedError for a file that does not fit.
    """
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise UsageError(
            f"{type(network).__name__} has no backbone: only the reference networks have, see docs/models.md"
        )
    wanted = stored_tensors(backbone)
    if "conv1.0.weight" in wanted:
        raise UsageError("a deep stem has no public weights: build pspnet with the option stem: single")
    path = Path(path)
    where = f"{path.name}, for the backbone of {type(network).__name__}"
    load_tensors(backbone, fit(_read(path), wanted), where)


def fit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict's tensors in the shapes wanted, without its classifier and BatchNorm's counters."""
    fitting: dict[str, Tensor] = {}
    for key, value in found.items():
        if key in wanted:
            # A wide layer's (4096, 25088) has the values of a convolution's (4096, 512, 7, 7), in this order.
            flat = key.startswith("classifier.") and value.dim() == 2 and value.numel() == wanted[key].numel()
            fitting[key] = value.reshape(wanted[key].shape) if flat else value
        elif not key.startswith(_CLASSIFIERS) and not key.endswith(_COUNTER):
            fitting[key] = value  # unknown: refused by its name
    return fitting


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelRefusedError(
                f"{path.name}: {path.stat().st_size:,} bytes are no backbone: at most {MAX_BYTES:,}"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ModelRefusedError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load(data)
        else:
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ModelRefusedError(f"{path.name}: its tensors cannot be read ({error})") from error
    except Exception as error:  # damaged and hostile pickles raise anything
        raise ModelRefusedError(
            f"{path.name}: is no state dict of plain tensors ({type(error).__name__}): nothing in it was "
            "run; expected torchvision's resnet101, vgg16, vgg16_bn or squeezenet1_1"
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided
        for key, value in found.items()
    ):
        raise ModelRefusedError(f"{path.name}: holds no mapping of names to tensors: expected a state dict")
    return found
