"""Weights in and out: a network and its card in one safetensors file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models.build import build_model
from wsiseg.models.card import ModelCard, plain
from wsiseg.models.files import CARD_KEY, digest, find_model, parse_header, read_verified
from wsiseg.models.network import SegmentationNetwork
from wsiseg.whole_files import appears_whole

_COUNTER = "num_batches_tracked"
"""BatchNorm's counter: used by no network here, so it is not stored."""


@dataclass(frozen=True)
class Model:
    """A network that is ready to be used, and its card."""

    network: SegmentationNetwork
    """In evaluation mode: normalised float32 (N, 3, H, W) -> logits."""
    card: ModelCard


def load_model(name_or_path: str | Path) -> Model:
    """Load a bundled model by name, or a file by path, on the CPU in float32.

    The SHA-256, the names, shapes and dtypes of all tensors and their being finite are checked.
    Raises ModelRefusedError, in one line, for whatever does not fit.
    """
    where = find_model(name_or_path).name
    card, data = read_verified(name_or_path)
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ModelRefusedError(
            f"{where}: its tensors cannot be read ({error}): get the file again"
        ) from error
    network = network_of(card, where)
    load_tensors(network, tensors, where)
    return Model(network.eval(), card)


def network_of(card: ModelCard, where: str) -> SegmentationNetwork:
    """Return the untrained network that a card describes; the global random state stays as it is."""
    try:
        with torch.random.fork_rng(devices=[]):
            return build_model(
                card.architecture.name, num_classes=card.architecture.num_classes, **card.architecture.options
            )
    except UsageError as error:
        raise ModelRefusedError(
            f"{where}: its card asks for a network that cannot be built: {error}"
        ) from error


def load_tensors(network: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Fill the network; every tensor must fit and none be missing. Raises ModelRefusedError."""
    wanted = stored_tensors(network)
    for what, names in (
        ("misses", wanted.keys() - tensors.keys()),
        ("has unknown", tensors.keys() - wanted.keys()),
    ):
        if names:
            shown = ", ".join(plain(name, 80) for name in sorted(names)[:3]) + (
                f" and {len(names) - 3} more" if len(names) > 3 else ""
            )
            raise ModelRefusedError(f"{where}: {what} tensors for its network: {shown}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            raise ModelRefusedError(
                f"{where}: tensor {name} is {tensor.dtype} {tuple(tensor.shape)}: "
                f"expected {wanted[name].dtype} {tuple(wanted[name].shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ModelRefusedError(
                f"{where}: tensor {name} has values that are not finite: the weights are unusable"
            )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(tensors[name])


def stored_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's own tensors that belong in a file, by name."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(_COUNTER)}


def save_model(path: str | Path, network: nn.Module, card: ModelCard) -> ModelCard:
    """Write weights and card, whole or not at all; return the card with the SHA-256 of the weights.

    Raises ModelRefusedError where the network is not the one that the card describes, or where a
    value is not finite; UsageError where the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist; create it first")
    tensors = {
        name: tensor.detach().to("cpu").contiguous() for name, tensor in stored_tensors(network).items()
    }
    load_tensors(network_of(card, path.name), tensors, path.name)
    bare = safetensors.torch.save(tensors)
    complete = card.model_copy(
        update={"weights_sha256": digest(parse_header(bare, len(bare), path.name), bare)}
    )
    data = safetensors.torch.save(tensors, metadata={CARD_KEY: complete.model_dump_json()})
    write_atomically(path, data)
    return complete


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under another name, flush it to the disk, then give it its name."""
    with appears_whole(path) as temporary:
        temporary.write_bytes(data)
