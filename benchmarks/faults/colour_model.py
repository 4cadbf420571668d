"""A network that costs nothing: each label depends on the colour of its own pixel, by seeded weights.

What becomes of a damaged slide does not depend on the network, and 2,000 of them are to be tried.
"""

from __future__ import annotations

import one_thread  # noqa: F401
import torch
from torch import Tensor, nn

from wsiseg.class_map import TISSUE8
from wsiseg.models import Architecture, Model, ModelCard


class ColourNetwork(nn.Module):
    """Normalised float32 (N, 3, H, W) to logits (N, 8, H, W), pixel by pixel."""

    output_stride = 1
    input_multiple = 8

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(4)
        self.weights = nn.Parameter(torch.randn(8, 3, 1, 1, generator=random), requires_grad=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits."""
        return nn.functional.conv2d(image, self.weights)


def colour_model() -> Model:
    """Return the network with a card of 1 um/px."""
    card = ModelCard(
        name="colours",
        summary="Seeded weights, for damaged slides. Not for any other use.",
        architecture=Architecture(name="espnet", num_classes=len(TISSUE8)),
        classes=TISSUE8.classes,
        domain="slide",
        mpp=1.0,
        mean=(170, 120, 160),
        std=(50, 50, 50),
        licence="Apache-2.0",
        source="benchmarks/faults",
        training_data="none",
        weights_sha256="0" * 64,
    )
    return Model(network=ColourNetwork().eval(), card=card)  # type: ignore[arg-type]
