"""Learning rate as a function of how far a stage has come."""

from __future__ import annotations

import math

from wsiseg.training.config import StageConfig

_LAST = 0.01
"""Fraction of the first learning rate that the cosine ends at."""


def learning_rate(stage: StageConfig, done_epochs: float) -> float:
    """Return the learning rate after `done_epochs`, which may be a fraction.

    `step`: halved every `halve_every` epochs (Mehta et al., 2018). `cosine`: half a cosine over the stage
    (Loshchilov and Hutter, 2017), for runs too short for the former.
    """
    if stage.schedule == "constant":
        return stage.learning_rate
    if stage.schedule == "step":
        return float(stage.learning_rate * 0.5 ** math.floor(done_epochs / stage.halve_every))
    part = min(1.0, max(0.0, done_epochs / stage.epochs))
    return stage.learning_rate * (_LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * part)))
