"""What happens after an epoch: validation, the best weights, the metrics, and pictures of both."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any, Protocol

from wsiseg.evaluation.figures import can_plot
from wsiseg.models import save_model
from wsiseg.models.checkpoint import write_atomically
from wsiseg.training.config import TrainConfig
from wsiseg.training.loop import StepReport
from wsiseg.training.pictures import draw_curves, draw_samples
from wsiseg.training.processes import Processes
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.source_type import Source
from wsiseg.training.state import Position
from wsiseg.training.step import Stage
from wsiseg.training.validation import Shown, scores_for_card, validate

log = logging.getLogger(__name__)

Row = dict[str, Any]


class Watcher(Protocol):
    """Who is told how a run goes on."""

    def say(self, line: str) -> None:
        """A line about the run."""

    def step(self, report: StepReport) -> None:
        """A step was done."""

    def epoch(self, row: Row) -> None:
        """An epoch was done and, where it is due, validated."""


class EpochEnd:
    """Called with the position after an epoch's last step; returns it with the best score so far."""

    def __init__(
        self,
        run: RunFolder,
        config: TrainConfig,
        source: Source,
        stage: Stage,
        best_file: Path,
        processes: Processes,
        watcher: Watcher,
        rows: list[Row],
    ) -> None:
        self._run, self._config, self._source, self._stage = run, config, source, stage
        self._best_file, self._processes, self._watcher, self._rows = best_file, processes, watcher, rows
        self._since = time.monotonic()

    def __call__(self, position: Position, last: StepReport) -> Position:
        """Validate, write what there is to write, and tell the watcher."""
        stage, epochs = self._stage, self._stage.config.epochs
        due = (last.epoch + 1) % self._config.validate_every == 0 or last.epoch + 1 == epochs
        row: Row = {
            "stage": stage.name,
            "stage_index": stage.index,
            "epoch": last.epoch,
            "loss": round(position.loss_total / position.step, 6),
            "learning_rate": last.learning_rate,
            "mean_iou": None,
            "pixel_accuracy": None,
            "best": False,
        }
        found: dict[str, Any] = {}
        if due and len(self._source.validation):
            found, value, shown = self._score()
            row |= {"mean_iou": found["mean_iou"], "pixel_accuracy": found["pixel_accuracy"]}
            better = position.best is None or value > position.best
            if better:
                position = position.model_copy(update={"best": value})
            self._draw_samples(shown)
        else:
            better = not len(self._source.validation)
        row["best"] = better
        if better and self._processes.is_first:
            self._save_best(last.epoch, found)
        self._record(row, found)
        return position

    def _score(self) -> tuple[dict[str, Any], float, list[Shown]]:
        """Return the scores for the card, the one number that epochs are compared by, and pictures."""
        card = self._stage.card
        scores, shown = validate(
            self._stage.network, card, self._source.validation, self._processes, self._config.samples
        )
        return scores_for_card(scores, card), scores.mean_iou or 0.0, shown

    def _save_best(self, epoch: int, found: dict[str, Any]) -> None:
        scores = {"epoch": epoch, **({"validation": found} if found else {})}
        note = (
            f"validation: {len(self._source.validation)} regions kept from training, each whole, one "
            "confusion matrix over all of their labelled pixels; the best epoch was chosen on them."
            if found
            else "no validation data: these are the last epoch's weights, not scored."
        )
        card = self._stage.card.model_copy(update={"scores": scores, "scores_note": note})
        save_model(self._best_file, self._stage.network, card)

    def _record(self, row: Row, found: dict[str, Any]) -> None:
        now = time.monotonic()
        row |= {"seconds": round(now - self._since, 1), **resident_mb(), "iou": found.get("iou")}
        self._since = now
        self._rows.append(row)
        if self._processes.is_first:
            self._run.write_rows(self._rows)
            if can_plot():
                title = f"{self._config.name}: {self._stage.card.architecture.name}"
                write_atomically(self._run.path / "curves.png", draw_curves(self._rows, title))
            log.info("%s", json.dumps({key: value for key, value in row.items() if key != "iou"}))
            self._watcher.epoch(row)

    def _draw_samples(self, shown: list[Shown]) -> None:
        if shown and self._processes.is_first:
            write_atomically(self._run.path / "samples.png", draw_samples(shown, self._stage.card.class_map))


def resident_mb() -> dict[str, int]:
    """Return this process's resident memory in MB, where the system tells (Linux).

    `memory_mb` is its own, `mapped_mb` the pages of files, which the system takes back when it needs them.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return {}
    kilobytes = {}
    for line in status.read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("RssAnon", "RssFile"):
            kilobytes[key] = int(value.split()[0])
    return {
        "memory_mb": kilobytes.get("RssAnon", 0) // 1024,
        "mapped_mb": kilobytes.get("RssFile", 0) // 1024,
    }
