"""One step of the optimiser, over one or more batches and in one or more processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn, optim

from wsiseg.models.card import ModelCard
from wsiseg.models.normalise import Normalise
from wsiseg.training.config import StageConfig, TrainConfig
from wsiseg.training.loader import Loaded
from wsiseg.training.losses import channel_table, loss_sum, subsample_labels, weight_sum
from wsiseg.training.processes import Processes

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage trains, and with what."""

    index: int
    name: str
    part: str = ""
    """Name of the trained part in the network; empty: all of it."""
    network: nn.Module
    """The part of the network that is trained: its encoder, or all of it."""
    card: ModelCard
    """Of that part; says how pixels are normalised and which channel is which class."""
    config: StageConfig
    weights: Tensor
    """float32 (classes,), by channel."""
    rates: dict[str, float] = field(default_factory=dict)
    """Share of the learning rate by parameter name: less than 1 for what a checkpoint brought, 0 frozen."""
    frozen: Sequence[nn.Module] = ()
    """Parts that stay in evaluation mode."""
    diagnosis_weight: float | None = None
    """Of the diagnosis in the loss; None: nothing but the segmentation is trained."""


def memory_layout(precision: str, device: torch.device) -> torch.memory_format:
    """Return channels last, but not for bf16 on the CPU.

    torch 2.13 gives NaN weight gradients there for the widest dilations.
    """
    if device.type == "cpu" and precision == "bf16":
        return torch.contiguous_format
    return torch.channels_last


def make_optimiser(stage: Stage, weight_decay: float) -> optim.Adam:
    """Return Adam as published (beta 0.9 and 0.999, eps 1e-8), one group for each share of the rate."""
    by_share: dict[float, list[nn.Parameter]] = {}
    for name, parameter in stage.network.named_parameters():
        share = stage.rates.get(name, 1.0)
        parameter.requires_grad_(share > 0)
        if share > 0:
            by_share.setdefault(share, []).append(parameter)
    groups = [{"params": parameters, "share": share} for share, parameters in sorted(by_share.items())]
    return optim.Adam(groups, lr=stage.config.learning_rate, weight_decay=weight_decay)


class Stepper:
    """Forward, loss, backward and update of a stage; the stage's network is on the device already."""

    def __init__(
        self, stage: Stage, config: TrainConfig, processes: Processes, optimiser: optim.Adam
    ) -> None:
        self._stage, self._processes, self._optimiser = stage, processes, optimiser
        self._precision, self._clip = config.precision, config.clip_norm or math.inf
        self._network = processes.wrap(self._called(stage.network))
        self._layout = memory_layout(config.precision, processes.device)
        self._normalise = Normalise(stage.card).to(processes.device)
        self._weights = stage.weights.to(processes.device)
        self._table = channel_table(stage.card.class_map.ids)
        self._stride = int(stage.network.output_stride)  # type: ignore[arg-type]
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.precision == "fp16")

    def step(self, batches: Sequence[Loaded], rate: float) -> float:
        """Update the weights from the batches; return the loss, the mean over all their labelled pixels.

        Raises FloatingPointError, before the update, where the loss or the gradient is not finite.
        """
        world = self._processes.world
        targets = [
            self._table[subsample_labels(batch[1], self._stride).long()] for batch in batches
        ]  # (N, H / stride, W / stride)
        total = self._processes.total(sum(weight_sum(target, self._stage.weights) for target in targets))
        self._optimiser.zero_grad(set_to_none=True)
        here = 0.0
        for place, (batch, target) in enumerate(zip(batches, targets, strict=True)):
            with self._processes.unsynchronised(self._network, wait=place + 1 < len(batches)):
                # Times `world`, because the processes' gradients are averaged; a step without labels is 0.
                part = self._loss(batch, target, world / max(total, 1e-12), len(batches))
                self.scaler.scale(part).backward()  # type: ignore[no-untyped-call]
            here += float(part.detach())
        loss = self._processes.total(here / world)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss}")
        self.scaler.unscale_(self._optimiser)
        norm = float(nn.utils.clip_grad_norm_(self._stage.network.parameters(), self._clip))
        # The fp16 scaler finds gradients that are not finite itself: it skips the step and scales less.
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise FloatingPointError(f"the gradient's norm became {norm} at a loss of {loss:.4f}")
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.scaler.step(self._optimiser)
        self.scaler.update()
        return loss

    def _called(self, network: nn.Module) -> nn.Module:
        """Return the module whose outputs the loss is made of."""
        return network

    def _loss(self, batch: Loaded, target: Tensor, share: float, batches: int) -> Tensor:
        """Return a batch's part of the step's loss; `share` makes the step's mean of sums over pixels."""
        return self._pixel_loss(self._outputs(batch[0]), target) * share

    def _outputs(self, rgb: Tensor) -> Any:
        device = self._processes.device
        image = self._normalise(rgb.to(device, non_blocking=True).permute(0, 2, 3, 1))
        with torch.autocast(device.type, _DTYPES[self._precision], enabled=self._precision != "fp32"):
            return self._network(image.contiguous(memory_format=self._layout))

    def _pixel_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return loss_sum(logits, target.to(self._processes.device, non_blocking=True), self._weights)
