"""Y-Net's two arms trained together: the segmentation first, then both losses.

Source: Mehta et al., MICCAI 2018.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from wsiseg.evaluation.diagnosis_scores import DiagnosisScores
from wsiseg.evaluation.region_diagnosis import Diagnoser, diagnosis_counts
from wsiseg.models import Architecture, Model, ModelCard
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.ynet import YNetJoint
from wsiseg.training.config import JointConfig, TrainConfig
from wsiseg.training.epoch_end import EpochEnd, Row
from wsiseg.training.loader import Loaded
from wsiseg.training.start import Start
from wsiseg.training.step import Stage, Stepper
from wsiseg.training.validation import Shown


def joint_stages(config: TrainConfig, joint: JointConfig, begun: Start, weights: Tensor) -> list[Stage]:
    """Return the segmentation arm alone, where the config asks for it, and then both."""
    whole = Stage(
        index=0,
        name="whole",
        network=begun.network,
        card=begun.card,
        config=config.whole,
        weights=weights,
        diagnosis_weight=joint.weight,
    )
    if joint.segmentation is None:
        return [whole]
    first = Stage(
        index=0,
        name="segmentation",
        part="segmentation",
        network=begun.network.get_submodule("segmentation"),
        card=segmentation_card(begun.card),
        config=joint.segmentation,
        weights=weights,
    )
    return [first, replace(whole, index=1)]


def segmentation_card(card: ModelCard) -> ModelCard:
    """Return the card of the segmentation arm alone."""
    architecture = Architecture(name="ynet", num_classes=card.architecture.num_classes)
    name = f"{card.name}-segmentation"
    return card.model_copy(update={"name": name, "architecture": architecture, "diagnosis": None})


class JointStepper(Stepper):
    """Adds the diagnosis' cross entropy to the loss, in a stage that trains both arms."""

    def _called(self, network: nn.Module) -> nn.Module:
        return network if self._stage.diagnosis_weight is None else _BothArms(cast(YNetJoint, network))

    def _loss(self, batch: Loaded, target: Tensor, share: float, batches: int) -> Tensor:
        weight = self._stage.diagnosis_weight
        if weight is None:
            return super()._loss(batch, target, share, batches)
        logits, told = self._outputs(batch[0])
        # The mean over the step's patches: each process has as many batches, and all batches one size.
        diagnosis = F.cross_entropy(told.float(), batch[2].to(told.device)) / batches
        return self._pixel_loss(logits, target) * share + weight * diagnosis


class JointEpochEnd(EpochEnd):
    """Scores the diagnosis too; epochs are compared by the mean of mean IoU and balanced accuracy."""

    def _score(self) -> tuple[dict[str, Any], float, list[Shown]]:
        found, value, shown = super()._score()
        if self._stage.diagnosis_weight is None:
            return found, value, shown
        card = self._stage.card
        diagnoser = Diagnoser(
            Model(cast(SegmentationNetwork, self._stage.network), card), self._processes.device
        )
        own = self._source.diagnosed[self._processes.rank :: self._processes.world]
        scores = DiagnosisScores(self._processes.total_counts(diagnosis_counts(diagnoser, own)))
        found["diagnosis"] = scores.by_name(diagnoser.card.names)
        return found, (value + (scores.balanced_accuracy or 0.0)) / 2, shown

    def _record(self, row: Row, found: dict[str, Any]) -> None:
        row["diagnosis_accuracy"] = found.get("diagnosis", {}).get("accuracy")
        super()._record(row, found)


class _BothArms(nn.Module):
    """The network called for both of its answers."""

    def __init__(self, network: YNetJoint) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> logits (N, C, H, W) and (N, diagnoses)."""
        return self.network.both(image)
