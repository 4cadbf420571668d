"""wsiseg train: weights from labelled data."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from wsiseg.cli.config_options import Changes

if TYPE_CHECKING:
    from wsiseg.training.config import TrainConfig
    from wsiseg.training.epoch_end import Watcher

EPILOG = "Example: wsiseg train configs/smoke.yaml -o run/smoke. The same command again goes on from there."


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML of the run, see configs/.")],
    set_: Changes = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder of the run; run/NAME by default."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Put the outcome on stdout as JSON, and nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Train a network, or go on with a training that was interrupted.

    The folder gets best.safetensors and last.safetensors (weights with their card), config.yaml,
    versions.json, data.json, metrics.csv, curves.png, samples.png and train.log. Several processes:
    torchrun --nproc-per-node 2 -m wsiseg train CONFIG.
    Exit codes: 0 done, 1 diverged, 2 wrong config, 3 data or checkpoint refused.
    """
    from wsiseg.config import load_config
    from wsiseg.training.config import TrainConfig
    from wsiseg.training.run import train as run

    wanted = load_config(config, set_ or [], TrainConfig)
    folder = output or Path("run") / wanted.name
    silent = quiet or os.environ.get("RANK", "0") != "0"
    with _ended_by_signal(), _watcher(wanted, folder, silent) as watcher:
        done = run(wanted, folder, watcher)
    if silent:
        return
    if as_json:
        sys.stdout.write(json.dumps(done, indent=2, ensure_ascii=False) + "\n")
        return
    best = done["best"]
    score = "not validated" if best["mean_iou"] is None else f"validation mean IoU {best['mean_iou']:.4f}"
    typer.echo(f"{score} after epoch {best['epoch'] + 1}; weights in {folder / best['file']}")


@contextmanager
def _watcher(config: TrainConfig, folder: Path, silent: bool) -> Iterator[Watcher]:
    """Give who is told: the terminal, and TensorBoard where it is installed."""
    from wsiseg.cli.progress import training_progress
    from wsiseg.training.tensorboard import TensorBoard, can_log

    is_first = os.environ.get("RANK", "0") == "0"
    with training_progress(silent) as terminal:
        board = None
        if config.tensorboard and is_first:
            if can_log():
                board = TensorBoard(folder / "tensorboard")
            else:
                terminal.say("TensorBoard is not installed: no logs for it (pip install 'wsiseg[train]')")
        try:
            yield _Both(terminal, board)
        finally:
            if board is not None:
                board.close()


class _Both:
    """The terminal and, where it is there, TensorBoard."""

    def __init__(self, terminal: Watcher, board: Any) -> None:
        self._terminal, self._board = terminal, board

    def say(self, line: str) -> None:
        self._terminal.say(line)

    def step(self, report: Any) -> None:
        for one in (self._terminal, self._board):
            if one is not None:
                one.step(report)

    def epoch(self, row: dict[str, Any]) -> None:
        for one in (self._terminal, self._board):
            if one is not None:
                one.epoch(row)


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM (a batch system's time limit) end the run with a line in its log."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
