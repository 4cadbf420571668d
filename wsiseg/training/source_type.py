"""What a training reads, whatever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import ClassMap
from wsiseg.datasets.pictures import Sample
from wsiseg.errors import UsageError
from wsiseg.evaluation.region_diagnosis import DiagnosedCase
from wsiseg.models import read_card
from wsiseg.training.config import TrainConfig
from wsiseg.training.loader import Patches


class Regions(Protocol):
    """Labelled pictures or regions to validate on."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a network is trained on."""

    patches: Patches
    groups: Sequence[range]
    """Indices of patches of one shape."""
    classes: ClassMap
    frequencies: NDArray[np.float64]
    """Share of each class of the labelled pixels, in the classes' order."""
    validation: Regions
    """May be empty: then the last state is the best."""
    said: str
    """For the card: what it is, how much of it, and how it was split."""
    domain: str
    """`slide` or `photo`."""
    phantoms: bool = False
    """Generated tissue, of no patient."""
    diagnosed: Sequence[DiagnosedCase] = ()
    """Validation regions with their diagnosis, for Y-Net."""
    warnings: tuple[str, ...] = ()


def model_mpp(config: TrainConfig) -> float:
    """Return the um per pixel of the network's input: the config's, or the checkpoint's.

    Raises UsageError where neither says one.
    """
    if config.model.mpp is not None:
        return config.model.mpp
    found = None if config.init is None else read_card(config.init.checkpoint).mpp
    if found is None:
        raise UsageError("model.mpp is missing: give the um per pixel that the network works at")
    return found
