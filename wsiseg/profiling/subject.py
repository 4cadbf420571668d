"""What is profiled: a network by its name, with untrained weights, or a model file."""

from __future__ import annotations

from dataclasses import dataclass

import safetensors.torch
import torch

from wsiseg.class_map import LabelClass
from wsiseg.errors import UsageError
from wsiseg.models.build import MODELS, REFERENCE, build_model
from wsiseg.models.card import Architecture, ModelCard, shrink_of
from wsiseg.models.checkpoint import stored_tensors
from wsiseg.models.files import list_models
from wsiseg.models.model import Model, load_model
from wsiseg.models.network import count_parameters

CLASSES = 20
"""Outputs of an untrained network: those of the paper's Cityscapes networks."""
SETTLING_PX = 128


@dataclass(frozen=True)
class Subject:
    """A network that is ready to be profiled."""

    name: str
    model: Model
    trained: bool
    parameters: int
    file_bytes: int

    @property
    def step_px(self) -> int:
        """Both sides of the image are multiples of this."""
        return self.model.input_multiple * shrink_of(self.model.card)

    def network_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the (width, height) that the network itself sees of an image: a photo may be sub-sampled."""
        shrink = shrink_of(self.model.card)
        return width_px // shrink, height_px // shrink

    def check_size(self, width_px: int, height_px: int) -> None:
        """Raise UsageError for an image size that the network does not take."""
        step = self.step_px
        if width_px < step or height_px < step or width_px % step or height_px % step:
            raise UsageError(
                f"--size {width_px}x{height_px}: {self.name} takes sides that are multiples of {step} px"
            )


def load_subject(name: str) -> Subject:
    """Return the network of this name with seeded weights, or a bundled model, or a .safetensors file."""
    trained = name not in MODELS and name not in REFERENCE
    model = load_model(name) if trained else _untrained(name)
    file_bytes = len(safetensors.torch.save(stored_tensors(model.network)))
    shown = model.card.name if trained else name
    return Subject(shown, model, trained, count_parameters(model.network), file_bytes)


def names() -> tuple[str, ...]:
    """Return the names that need no file."""
    return (*MODELS, *REFERENCE, *list_models())


def _untrained(name: str) -> Model:
    """Return a network whose speed is a trained one's: its activations have a trained one's range."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(name, num_classes=CLASSES)
        network.train()
        with torch.no_grad():
            for _ in range(3):  # settle BatchNorm; raw initial statistics would let activations explode
                network(torch.randn(2, 3, SETTLING_PX, SETTLING_PX))
    card = ModelCard(
        name=f"{name}-untrained",
        summary="Seeded, untrained weights, for measurements only.",
        architecture=Architecture(name=name, num_classes=CLASSES),
        classes=tuple(
            LabelClass(id=index, name=f"output {index}", colour=(index * 12, 0, 0))
            for index in range(CLASSES)
        ),
        domain="photo",
        mean=(127.5, 127.5, 127.5),
        std=(64.0, 64.0, 64.0),
        licence="Apache-2.0",
        source="wsiseg profile",
        training_data="none",
    )
    return Model(network.eval(), card)
