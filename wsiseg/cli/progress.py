"""Progress bars: megapixels of a label map, steps of a training; with the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from wsiseg.training.loop import StepReport


class _Amount(ProgressColumn):
    """Megapixels done, and in all once that is known: a run is planned before its first tile."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        return Text(f"{task.completed:.0f}/{task.total:.0f} MP")


class _Rate(ProgressColumn):
    """Megapixels of label map per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} MP/s")


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr; give the function to call with (pixels done, pixels in all)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        _Amount(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(name), total=None)

        def show(done_px: int, total_px: int) -> None:
            progress.update(task, completed=done_px / 1e6, total=total_px / 1e6)

        yield show


class TrainingProgress:
    """A line per epoch on stderr, and on a terminal a bar of the steps below it."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent
        self._console = Console(stderr=True, soft_wrap=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps, loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(
            *columns, console=self._console, transient=True, disable=silent or not sys.stderr.isatty()
        )
        self._task = self.bar.add_task("", total=None, visible=False, loss=0.0)

    def say(self, line: str) -> None:
        """Put a line on stderr."""
        if not self._silent:
            self._console.print(line, markup=False, highlight=False)

    def step(self, report: StepReport) -> None:
        """Move the bar."""
        self.bar.update(
            self._task,
            description=f"{report.stage}, epoch {report.epoch + 1}",
            completed=report.step + 1,
            total=report.steps,
            loss=report.loss,
            visible=True,
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Put the epoch's line on stderr."""
        score = "" if row["mean_iou"] is None else f"   validation mean IoU {row['mean_iou']:.4f}"
        best = " (best)" if row["best"] and score else ""
        epoch = f"{row['stage']}, epoch {row['epoch'] + 1}: loss {row['loss']:.4f}"
        self.say(f"{epoch}{score}{best}   {row['seconds']} s")


@contextmanager
def training_progress(silent: bool) -> Iterator[TrainingProgress]:
    """Show how a training goes on."""
    progress = TrainingProgress(silent)
    with progress.bar:
        yield progress
