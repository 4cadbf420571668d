"""Weights in and out of networks: a network and its card in one safetensors file."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models.build import build_model
from wsiseg.models.card import ModelCard
from wsiseg.models.files import CARD_KEY, digest, parse_header
from wsiseg.models.model import Kind, Tensors, cannot_be_built, check_finite, check_fit
from wsiseg.models.network import SegmentationNetwork
from wsiseg.whole_files import appears_whole

_COUNTER = "num_batches_tracked"
"""BatchNorm's counter: used by no network here, so it is not stored."""


def load_network(card: ModelCard, data: bytes, where: str) -> SegmentationNetwork:
    """Return the network of a card, filled from the bytes of its file; in evaluation mode."""
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ModelRefusedError(
            f"{where}: its tensors cannot be read ({error}): get the file again"
        ) from error
    network = network_of(card, where)
    load_tensors(network, tensors, where)
    return network.eval()


def filled_network(card: ModelCard, tensors: Tensors, where: str) -> SegmentationNetwork:
    """Return the network of a card, filled with arrays; in evaluation mode."""
    with torch.inference_mode(False):  # whoever asks first: what is built in it can never be trained
        network = network_of(card, where)
        load_tensors(network, {name: torch.tensor(array) for name, array in tensors.items()}, where)
    return network.eval()


def network_of(card: ModelCard, where: str) -> SegmentationNetwork:
    """Return the untrained network that a card describes; the global random state stays as it is."""
    try:
        with torch.random.fork_rng(devices=[]):
            return build_model(
                card.architecture.name, num_classes=card.architecture.num_classes, **card.architecture.options
            )
    except UsageError as error:
        raise cannot_be_built(where, error) from error


def load_tensors(network: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Fill the network; every tensor must fit and none be missing. Raises ModelRefusedError."""
    wanted = stored_tensors(network)
    check_fit(_kinds(tensors), _kinds(wanted), where)
    for name, tensor in tensors.items():
        check_finite(name, bool(torch.isfinite(tensor).all()), where)
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(tensors[name])


def _kinds(tensors: dict[str, Tensor]) -> dict[str, Kind]:
    return {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }


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
