"""Scalars for TensorBoard, where it is installed (extra `train`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wsiseg.training.loop import StepReport


def can_log() -> bool:
    """Whether TensorBoard is there."""
    return find_spec("tensorboard") is not None


class TensorBoard:
    """Writes what it is told into event files in a folder, which it makes at the first step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: Any = None

    def step(self, report: StepReport) -> None:
        """Log a step's loss and learning rate."""
        at = report.epoch * report.steps + report.step
        self._writer.add_scalar(f"{report.stage}/loss", report.loss, at)
        self._writer.add_scalar(f"{report.stage}/learning rate", report.learning_rate, at)

    def epoch(self, row: dict[str, Any]) -> None:
        """Log an epoch's scores."""
        for key in ("mean_iou", "pixel_accuracy"):
            if row[key] is not None:
                self._writer.add_scalar(f"{row['stage']}/{key}", row[key], row["epoch"])
        for name, iou in (row["iou"] or {}).items():
            if iou is not None:
                self._writer.add_scalar(f"{row['stage']} IoU/{name}", iou, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _writer(self) -> Any:
        if self._opened is None:
            from torch.utils.tensorboard import SummaryWriter

            self._opened = SummaryWriter(str(self._folder))
        return self._opened
