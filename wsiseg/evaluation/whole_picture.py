"""A network on whole photos of any size: label ids at the photo's own resolution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsiseg.class_map import ClassMap
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.models.card import ModelCard, shrink_of
from wsiseg.models.model import Model
from wsiseg.models.normalise import Segmenter


def choose_device(name: str) -> torch.device:
    """Return the device of `auto`, `cpu` or `cuda`. Raises UsageError where there is no such."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is cuda, but torch sees none: use device=cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


class PicturePredictor:
    """uint8 (N, rows, columns, 3) RGB -> uint8 (N, rows, columns) label ids of the model's card.

    Sides are padded to what the network takes, with the border's own pixels for photos and with white for
    slides, and cropped again. Logits are up-sampled bilinearly to the full size before the argmax.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        self.card = model.card
        self.device = device
        self.multiple = model.input_multiple * shrink_of(model.card)
        self.segmenter = Segmenter(model).to(device).eval()

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label ids of pictures of one size."""
        rows, columns = pictures.shape[1:3]
        with torch.inference_mode():
            image = self._padded(pictures)
            # On the CPU a batch gains nothing, and the last bit of its sums depends on its length.
            parts = torch.split(image, 1) if self.device.type == "cpu" else (image,)
            labels = torch.cat([self.segmenter(part) for part in parts])
        return np.asarray(labels[:, :rows, :columns].cpu().numpy())

    def logits(self, picture: NDArray[np.uint8]) -> Tensor:
        """Return the logits (channels that are predicted, rows, columns) float32 of one picture."""
        rows, columns = picture.shape[:2]
        with torch.inference_mode():
            logits: Tensor = self.segmenter.logits(self._padded(picture[None]))
        return logits[0, :, :rows, :columns].float()

    def _padded(self, pictures: NDArray[np.uint8]) -> Tensor:
        rows, columns = pictures.shape[1:3]
        sides = ((0, 0), (0, -rows % self.multiple), (0, -columns % self.multiple), (0, 0))
        if self.card.domain == "photo":
            padded = np.pad(pictures, sides, mode="edge")
        else:
            padded = np.pad(pictures, sides, constant_values=255)
        return torch.from_numpy(np.ascontiguousarray(padded)).to(self.device)


def channel_table(
    card: ModelCard, classes: ClassMap, merged: Mapping[str, int], rename: Mapping[str, str]
) -> NDArray[np.uint8]:
    """Return (256,): for each label id of the model the label id of the data set, matched by name.

    `merged` has further names of the data set's classes, `rename` the user's own. Classes that the model
    never predicts need no partner. Raises InputRefusedError with the names that have none.
    """
    known = {_plain(name): label for name, label in merged.items()}
    for item in classes.classes:
        for name in (*item.annotation_names, item.name):
            known[_plain(name)] = item.id
    mine = {item.name for item in card.classes}
    for name in rename:
        if name not in mine:
            raise UsageError(f"model.rename has {name!r}: the model {card.name} has no class of that name")
    table = np.zeros(256, np.uint8)
    missing = []
    for item in card.classes:
        if not item.predicted:
            continue
        label = known.get(_plain(rename.get(item.name, item.name)))
        if label is None:
            missing.append(item.name)
        else:
            table[item.id] = label
    if missing:
        shown = ", ".join(repr(name) for name in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        expected = ", ".join(item.name for item in classes.classes[:30])
        raise InputRefusedError(
            f"model {card.name} predicts {shown}{more}, which the data set does not have: expected names "
            f"among {expected}; use another model, or model.rename"
        )
    return table


def never_predicted(table: NDArray[np.uint8], card: ModelCard, classes: ClassMap) -> tuple[str, ...]:
    """Return the names of the data set's classes that no channel of the model stands for."""
    reached = {int(table[item.id]) for item in card.classes if item.predicted}
    return tuple(item.name for item in classes.classes if item.id not in reached)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
