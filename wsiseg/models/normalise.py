"""From pixels to class ids as one torch module, so that all of it fits inside of an exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.confidence import HIGHEST, LOWEST
from wsiseg.models.card import ModelCard, shrink_of
from wsiseg.models.model import Model


class Normalise(nn.Module):
    """uint8 (N, H, W, 3) RGB -> float (N, 3, H, W) as the network of this card wants it."""

    mean: Tensor
    std: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.reverse = card.channel_order == "bgr"
        self.divide_by = card.divide_by
        self.register_buffer("mean", torch.tensor(card.mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(card.std, dtype=torch.float32))

    def forward(self, image: Tensor) -> Tensor:
        """Return (channels in the card's order - mean) / std / divide_by."""
        values = image.to(self.mean.dtype)
        if self.reverse:
            values = torch.cat([values[..., 2:3], values[..., 1:2], values[..., 0:1]], dim=-1)
        values = (values - self.mean) / self.std
        if self.divide_by != 1.0:
            # After the division by std, not before: the released ESPNet weights were trained so.
            values = values / self.divide_by
        return values.permute(0, 3, 1, 2)


class Segmenter(nn.Module):
    """uint8 (N, H, W, 3) RGB -> uint8 (N, H, W) class ids; H and W multiples of the network's.

    With `confidence` also uint8 (N, H, W) of softmax(logits / temperature), see `wsiseg.confidence`.

    A photo is sub-sampled by the card's `input_scale` first; H and W are multiples of both factors together.
    A network that answers at a lower resolution is up-sampled bilinearly before the argmax. Classes that
    are not `predicted` (void) never win. The temperature does not change the labels.
    """

    table: Tensor

    def __init__(self, model: Model, *, confidence: bool = False) -> None:
        super().__init__()
        self.confidence = confidence
        self.temperature = model.card.temperature
        self.normalise = Normalise(model.card)
        self.network = model.network
        self.stride = model.network.output_stride
        self.shrink = shrink_of(model.card)
        channels = [index for index, item in enumerate(model.card.classes) if item.predicted]
        ids = [model.card.classes[index].id for index in channels]
        self.channels = None if len(channels) == len(model.card.classes) else channels
        self.identity = ids == list(range(len(ids)))
        self.register_buffer("table", torch.tensor(ids, dtype=torch.uint8))

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the ids of the classes with the highest logits, the first of equal ones; and confidences."""
        logits = self.logits(image)
        winner = logits.argmax(dim=1)
        ids = winner.to(torch.uint8) if self.identity else self.table[winner]
        return (ids, self.quantised(logits)) if self.confidence else ids

    def quantised(self, logits: Tensor) -> Tensor:
        """Return the confidence of the highest of these logits (N, C, H, W): uint8 (N, H, W)."""
        values = logits.float() / self.temperature
        behind = values - values.amax(dim=1, keepdim=True)
        share = float(HIGHEST) / behind.exp().sum(dim=1)  # 255 x the softmax of the highest
        return torch.floor(share + 0.5).clamp(LOWEST, HIGHEST).to(torch.uint8)

    def logits(self, image: Tensor) -> Tensor:
        """Return the logits of the predicted classes at the image's size, float (N, predicted, H, W)."""
        values = self.normalise(image)
        if self.shrink > 1:
            values = F.avg_pool2d(values, self.shrink)  # equal to bilinear sub-sampling by a half
        logits: Tensor = self.network(values)
        if self.channels is not None:
            if self.channels == list(range(len(self.channels))):
                logits = logits[:, : len(self.channels)]
            else:
                logits = torch.cat([logits[:, index : index + 1] for index in self.channels], dim=1)
        if self.stride * self.shrink > 1:
            factor = float(self.stride * self.shrink)
            logits = F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False)
        return logits
