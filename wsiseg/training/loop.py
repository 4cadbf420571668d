"""One stage of training: steps over epochs of patches, a validation and a saved state after each epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from wsiseg.errors import DivergedError
from wsiseg.training.config import TrainConfig
from wsiseg.training.loader import Patches, load_batches
from wsiseg.training.order import batches_of_rank, epoch_batches, steps_in_epoch
from wsiseg.training.processes import Processes
from wsiseg.training.schedule import learning_rate
from wsiseg.training.state import Position
from wsiseg.training.step import Stage, Stepper

STAGE_EPOCHS = 1_000_000
"""Added to the epoch for each stage that went before: no stage repeats another's patches."""
_SHOWN = 8
"""Patches that the message about a diverged step describes."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step came to."""

    stage: str
    epoch: int
    step: int
    steps: int
    """In the epoch."""
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Hooks:
    """What happens around the steps."""

    on_step: Callable[[StepReport], None]
    on_epoch: Callable[[Position, StepReport], Position]
    """Gets the position after an epoch's last step; validates, and returns it with the best score."""
    on_state: Callable[[Position], None]
    """Gets every position that a run may go on from."""


def train_stage(
    stage: Stage,
    config: TrainConfig,
    patches: Patches,
    groups: Sequence[range],
    processes: Processes,
    stepper: Stepper,
    position: Position,
    hooks: Hooks,
) -> None:
    """Train in place from `position` to the end of the stage.

    `groups` are the indices of patches of one shape. Raises DivergedError, with the patches of the step,
    when the loss or a gradient stops being finite.
    """
    steps = steps_in_epoch(groups, config.batch, config.accumulate * processes.world)
    if position.scaler:
        stepper.scaler.load_state_dict(dict(position.scaler))
    first = stage.index * STAGE_EPOCHS
    batches = batches_of_rank(
        groups,
        batch=config.batch,
        accumulate=config.accumulate,
        rank=processes.rank,
        world=processes.world,
        seed=config.seed,
        epochs=range(first + position.epoch, first + stage.config.epochs),
        first_step=position.step,
    )
    loaded = load_batches(patches, batches, workers=config.workers, pin=processes.device.type == "cuda")
    for epoch in range(position.epoch, stage.config.epochs):
        stage.network.train()
        for part in stage.frozen:
            part.eval()
        for step in range(position.step, steps):
            rate = learning_rate(stage.config, epoch + step / steps)
            # A step's random numbers (dropout) depend on where it stands alone, so a resume repeats them.
            torch.manual_seed(_seed(config.seed, first + epoch, step, processes.rank))
            try:
                loss = stepper.step(list(islice(loaded, config.accumulate)), rate)
            except FloatingPointError as error:
                indices = _of_step(groups, config, processes, first + epoch, step)
                raise _diverged(
                    f"{stage.name}, epoch {epoch}, step {step}: {error}", patches, indices
                ) from error
            position = Position(
                stage=stage.index,
                epoch=epoch,
                step=step + 1,
                loss_total=position.loss_total + loss,
                best=position.best,
                scaler=stepper.scaler.state_dict(),
            )
            report = StepReport(stage.name, epoch, step, steps, loss, rate)
            hooks.on_step(report)
            if config.save_every_steps and step + 1 < steps and (step + 1) % config.save_every_steps == 0:
                hooks.on_state(position)
        processes.average_buffers(stage.network)
        done = hooks.on_epoch(position, report)
        position = done.model_copy(update={"epoch": epoch + 1, "step": 0, "loss_total": 0.0})
        hooks.on_state(position)


def _seed(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "little")


def _of_step(
    groups: Sequence[range], config: TrainConfig, processes: Processes, epoch: int, step: int
) -> list[int]:
    """Return the indices of the patches of a step, of all processes."""
    per_step = config.accumulate * processes.world
    batches = epoch_batches(groups, config.batch, config.seed, epoch)
    return [index for batch in batches[step * per_step : (step + 1) * per_step] for index in batch]


def _diverged(what: str, patches: Patches, indices: list[int]) -> DivergedError:
    describe = getattr(patches, "describe", None)
    shown = [str(at) if describe is None else f"{at} ({describe(at)})" for at in indices[:_SHOWN]]
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return DivergedError(
        f"{what}; its patches are {', '.join(shown)}{more}. The last good state is kept. Look at these "
        "patches, then train anew with a lower learning_rate, with clip_norm, or with precision=fp32"
    )
