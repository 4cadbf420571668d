"""A network with its card, as it comes out of a file. An ESPNet is checked, and used, without torch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models.card import ModelCard, plain
from wsiseg.models.espnet_layout import ESPNetLayout
from wsiseg.models.files import Header, find_model, parse_header, read_verified
from wsiseg.models.options import espnet_layout

if TYPE_CHECKING:
    from wsiseg.models.network import SegmentationNetwork

Tensors = Mapping[str, NDArray[np.generic]]
Kind = tuple[str, tuple[int, ...]]
"""Dtype and shape of a tensor."""

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
_building = threading.Lock()


class Model:
    """A network that is ready to be used, and its card.

    Torch takes a second to be imported, and OpenVINO needs an ESPNet's tensors alone: the network of one that
    comes from a file is built when it is asked for.
    """

    def __init__(self, network: SegmentationNetwork, card: ModelCard) -> None:
        self.card = card
        self._network: SegmentationNetwork | None = network
        self._tensors: Tensors = {}
        self.layout: ESPNetLayout | None = getattr(network, "layout", None)
        """What the network is made of, where it is an ESPNet with its decoder."""

    @classmethod
    def of_tensors(cls, tensors: Tensors, layout: ESPNetLayout, card: ModelCard) -> Model:
        """Return the model of an ESPNet whose tensors are known to fit its layout."""
        model = cls.__new__(cls)
        model.card, model._network, model._tensors, model.layout = card, None, tensors, layout
        return model

    @property
    def network(self) -> SegmentationNetwork:
        """The network, in evaluation mode: normalised float32 (N, 3, H, W) -> logits."""
        with _building:
            if self._network is None:
                from wsiseg.models.checkpoint import filled_network

                self._network = filled_network(self.card, self._tensors, self.card.name)
            return self._network

    @property
    def input_multiple(self) -> int:
        """Both sides of the network's input are multiples of this."""
        return self.layout.input_multiple if self.layout else self.network.input_multiple

    def tensors(self) -> Tensors:
        """Return the tensors that belong in a file, as they are now, by name; float32."""
        if self._network is None:
            return self._tensors
        from wsiseg.models.checkpoint import stored_tensors

        return {name: tensor.detach().cpu().numpy() for name, tensor in stored_tensors(self._network).items()}

    def weights_digest(self) -> str:
        """Return the SHA-256 of the tensors' names and bytes, as they are now."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors().items()):
            digest.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()

    def digest(self) -> str:
        """Return the SHA-256 of the model as it is now: its card, its modules, and every tensor."""
        modules = repr(self.layout or self._network)
        return hashlib.sha256(
            f"{self.card.model_dump_json()}{modules}{self.weights_digest()}".encode()
        ).hexdigest()


def load_model(name_or_path: str | Path) -> Model:
    """Load a bundled model by name, or a file by path, on the CPU in float32.

    The SHA-256, the names, shapes and dtypes of all tensors and their being finite are checked.
    Raises ModelRefusedError, in one line, for whatever does not fit.
    """
    where = find_model(name_or_path).name
    card, data = read_verified(name_or_path)
    layout = _layout_of(card, where)
    if layout is None or not layout.is_all_esp:
        from wsiseg.models.checkpoint import load_network

        return Model(load_network(card, data, where), card)
    header = parse_header(data, len(data), where)
    found = {
        name: (_DTYPES.get(entry.dtype, entry.dtype), entry.shape) for name, entry in header.entries.items()
    }
    check_fit(found, {name: ("float32", shape) for name, shape in layout.shapes().items()}, where)
    tensors = _read(header, data)
    for name, tensor in tensors.items():
        check_finite(name, bool(np.isfinite(tensor).all()), where)
    return Model.of_tensors(tensors, layout, card)


def check_fit(found: Mapping[str, Kind], wanted: Mapping[str, Kind], where: str) -> None:
    """Raise ModelRefusedError unless all tensors are there, no others, each of its dtype and shape."""
    for what, names in (
        ("misses", wanted.keys() - found.keys()),
        ("has unknown", found.keys() - wanted.keys()),
    ):
        if names:
            shown = ", ".join(plain(name, 80) for name in sorted(names)[:3]) + (
                f" and {len(names) - 3} more" if len(names) > 3 else ""
            )
            raise ModelRefusedError(f"{where}: {what} tensors for its network: {shown}")
    for name, kind in found.items():
        if kind != wanted[name]:
            raise ModelRefusedError(
                f"{where}: tensor {name} is {kind[0]} {kind[1]}: expected {wanted[name][0]} {wanted[name][1]}"
            )


def check_finite(name: str, finite: bool, where: str) -> None:
    """Raise ModelRefusedError for a tensor that is not finite."""
    if not finite:
        raise ModelRefusedError(
            f"{where}: tensor {name} has values that are not finite: the weights are unusable"
        )


def cannot_be_built(where: str, error: UsageError) -> ModelRefusedError:
    """Return what to raise for a card with options that no network has."""
    return ModelRefusedError(f"{where}: its card asks for a network that cannot be built: {error}")


def _layout_of(card: ModelCard, where: str) -> ESPNetLayout | None:
    if card.architecture.name != "espnet":
        return None
    try:
        return espnet_layout(card.architecture.num_classes, **card.architecture.options)  # type: ignore[arg-type]
    except UsageError as error:
        raise cannot_be_built(where, error) from error


def _read(header: Header, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a file, all of them float32."""
    whole = np.frombuffer(data, np.uint8)
    return {
        name: whole[header.data_start + entry.start : header.data_start + entry.stop]
        .view("<f4")
        .reshape(entry.shape)
        .copy()
        for name, entry in header.entries.items()
    }
