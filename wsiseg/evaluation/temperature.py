"""One temperature for a network: sampled pixels, and the number that makes their truth least surprising."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures between which is searched; one at an edge was not found."""
FEWEST_PX = 1000

Logits = NDArray[np.float32]
"""(pixels, channels)."""


class PixelSample:
    """A uniform sample without replacement of at most `size` pixels of a stream of any length.

    Every pixel gets a random key, and the pixels of the smallest keys stay: which these are depends on the
    seed and the order of the stream alone, not on how it is cut into pieces.
    """

    def __init__(self, size: int, channels: int, seed: int) -> None:
        self.size = size
        self.seen = 0
        self._rng = np.random.default_rng(seed)
        self._keys = np.empty(0)
        self._logits: Logits = np.empty((0, channels), np.float32)
        self._truth = np.empty(0, np.uint8)

    def add(self, logits: Logits, truth: NDArray[np.uint8]) -> None:
        """Offer pixels: logits (N, channels) and label ids (N,)."""
        keys = self._rng.random(len(truth))
        self.seen += len(truth)
        if len(self._keys) == self.size:
            fits = keys < self._keys.max()
            keys, logits, truth = keys[fits], logits[fits], truth[fits]
        self._keys = np.concatenate([self._keys, keys])
        self._logits = np.concatenate([self._logits, logits])
        self._truth = np.concatenate([self._truth, truth])
        if len(self._keys) > self.size:
            kept = np.sort(np.argpartition(self._keys, self.size)[: self.size])
            self._keys, self._logits, self._truth = self._keys[kept], self._logits[kept], self._truth[kept]

    def pixels(self) -> tuple[Logits, NDArray[np.uint8]]:
        """Return logits (N, channels) and label ids (N,) of the pixels that stayed."""
        return self._logits, self._truth


@dataclass(frozen=True, slots=True)
class Fit:
    """A temperature and what it gains."""

    temperature: float
    pixels: int
    nll_before: float
    """Mean negative log likelihood at the temperature that the card had."""
    nll_after: float


def fit_temperature(
    logits: Logits, truth: NDArray[np.uint8], channel_labels: NDArray[np.uint8], before: float = 1.0
) -> Fit:
    """Return the temperature of least negative log likelihood, by a bounded search over its logarithm.

    `channel_labels` is the label id that each channel stands for; several may stand for one, whose
    probabilities add up. Pixels whose truth no channel stands for are left out. Raises InputRefusedError
    where there are too few pixels, or where no temperature between `COLDEST` and `HOTTEST` is the best.
    """
    from scipy.optimize import minimize_scalar

    stands_for = truth[:, None] == channel_labels[None]
    known = stands_for.any(axis=1)
    logits, stands_for = logits[known].astype(np.float64), stands_for[known]
    if len(logits) < FEWEST_PX:
        raise InputRefusedError(
            f"{len(logits)} labelled pixels of the model's classes to fit a temperature on: "
            f"expected {FEWEST_PX} or more"
        )

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float(np.mean(_log_sum(scaled) - _log_sum(np.where(stands_for, scaled, -np.inf))))

    bounds = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    if min(found.x - bounds[0], bounds[1] - found.x) < 1e-3:
        raise InputRefusedError(
            f"no temperature between {COLDEST:g} and {HOTTEST:g} is the best: on this data the network is "
            "always right or no better than chance; fit on other data"
        )
    return Fit(float(np.exp(found.x)), len(logits), loss(float(np.log(before))), float(found.fun))


def _log_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(sum(exp)) over the channels; -inf entries add nothing, and one at least is finite."""
    top = values.max(axis=1)
    return np.asarray(top + np.log(np.exp(values - top[:, None]).sum(axis=1)))
