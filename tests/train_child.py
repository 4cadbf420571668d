"""Train, and die by kill -9 where the state would be saved for the n-th time: python train_child.py FOLDER N.

The process kills itself, so that no machine is too fast or too slow for the test. Every step is saved here.
"""

import os
import signal
import sys
from pathlib import Path

from wsiseg.training import run
from wsiseg.training.config import TrainConfig

TINY = {
    "name": "tiny",
    "model": {"network": "espnet", "options": {"alpha2": 1, "alpha3": 1, "decoder": "v2"}, "mpp": 4.0},
    "data": {
        "dataset": "phantoms",
        "train_count": 2,
        "validation_count": 1,
        "held_out_count": 1,
        "side_px": 96,
        "patch_px": 64,
        "patches_per_epoch": 12,
    },
    "encoder": {"epochs": 1, "learning_rate": 2e-3},
    "whole": {"epochs": 2, "learning_rate": 2e-3, "schedule": "cosine"},
    "batch": 4,
    "threads": 1,
    "workers": 0,
    "device": "cpu",
    "save_every_steps": 1,
}


def tiny(**changes) -> TrainConfig:
    return TrainConfig.model_validate(TINY | changes)


class Silent:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.lines, self.steps, self.rows = [], [], []

    def say(self, line):
        self.lines.append(line)

    def step(self, report):
        self.steps.append(report)

    def epoch(self, row):
        self.rows.append(row)


def die_before_save(number: int) -> None:
    """Make this process kill itself where it would save its state for the n-th time."""
    save, count = run.save_state, 0

    def save_or_die(*arguments):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        save(*arguments)

    run.save_state = save_or_die


def main():
    folder, saves = sys.argv[1:]
    die_before_save(int(saves))
    run.train(tiny(), Path(folder), Silent())


if __name__ == "__main__":
    main()
