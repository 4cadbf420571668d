"""The training loop: one stage of epochs over patches, with a validation after each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.datasets.phantom import PatchDataset
from wsiseg.training.config import StageConfig
from wsiseg.training.losses import loss, subsample_labels
from wsiseg.training.schedule import learning_rate


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation per channel, in grey levels."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def apply(self, rgb: Tensor) -> Tensor:
        """Return float32 (N, 3, H, W) from uint8 RGB of the same shape."""
        mean = torch.tensor(self.mean, dtype=torch.float32).view(1, 3, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32).view(1, 3, 1, 1)
        return (rgb.float() - mean) / std


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch came to."""

    stage: str
    epoch: int
    loss: float
    learning_rate: float
    validation: float | None
    """Mean IoU on the validation phantoms."""


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, and ask torch for deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


def channel_table(ids: tuple[int, ...]) -> Tensor:
    """Return int64 (256,): label id to output channel; ids that are no class become 255, ignored."""
    table = torch.full((256,), NOT_ANALYSED, dtype=torch.int64)
    table[list(ids)] = torch.arange(len(ids))
    return table


def train_stage(
    network: nn.Module,
    patches: PatchDataset,
    *,
    name: str,
    stage: StageConfig,
    batch: int,
    weights: Tensor,
    ids: tuple[int, ...],
    normalisation: Normalisation,
    weight_decay: float,
    bf16: bool,
    validate: Callable[[nn.Module], float] | None,
    report: Callable[[EpochReport], None],
    keep: Callable[[dict[str, Tensor]], None] | None = None,
) -> dict[str, Tensor]:
    """Train in place; return the state of the epoch that validated best (the last one without validation).

    `keep` gets each such state as soon as it is found.

    Raises FloatingPointError when the loss stops being finite.
    """
    stride = int(network.output_stride)  # type: ignore[arg-type]
    table = channel_table(ids)
    # Not channels last under bf16: torch 2.13 gives NaN weight gradients there for the widest dilations.
    layout = torch.contiguous_format if bf16 else torch.channels_last
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(
        network.parameters(), lr=stage.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay
    )
    best_score, best_state = -1.0, {}
    for epoch in range(stage.epochs):
        patches.epoch = patches.first_epoch + epoch
        network.train()
        loader = DataLoader(patches, batch, drop_last=True)
        total, rate = 0.0, stage.learning_rate
        for step, (rgb, labels) in enumerate(loader):
            rate = learning_rate(stage, epoch + step / len(loader))
            for group in optimiser.param_groups:
                group["lr"] = rate
            image = normalisation.apply(rgb).contiguous(memory_format=layout)
            target = table[subsample_labels(labels.long(), stride)]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = network(image)
            value = loss(logits, target, weights)
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"{name}: the loss became {value.item()} in epoch {epoch}, step {step}"
                )
            optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(value.detach())
        score = None if validate is None else validate(network)
        report(EpochReport(name, epoch, total / max(1, len(loader)), rate, score))
        if score is None or score >= best_score:
            best_score = -1.0 if score is None else score
            best_state = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
            if keep is not None:
                keep(best_state)
    return best_state
