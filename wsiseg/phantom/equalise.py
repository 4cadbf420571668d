"""Takes the colour difference out of two classes, so that only their architecture tells them apart.

Means over 5 um squares are moved, by quantiles, half-way towards those of the other class: along
haematoxylin, eosin, their sum and their difference in turn (a sliced optimal transport).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsiseg.phantom.noise import Field

WINDOW_UM = 5.0
_LEAST_PIXELS = 1500
_MOST_SAMPLES = 20_000
_LEVELS = np.linspace(0, 1, 65)
_ROOT = float(np.sqrt(0.5))
_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (_ROOT, _ROOT), (_ROOT, -_ROOT), (1.0, 0.0), (0.0, 1.0))
_LOW, _HIGH, _BINS = -2.0, 4.0, 4096
"""Span of concentrations, and steps in it, of the table that says how far a mean is moved."""


def equalise(
    haematoxylin: Field,
    eosin: Field,
    labels: NDArray[np.uint8],
    pairs: tuple[tuple[int, int], ...],
    mpp: float,
) -> None:
    """Match the classes of each pair in place; a pair is left alone where one of them is all but absent.

    `haematoxylin` and `eosin` are (rows, columns) concentrations, `labels` the ids of the same shape.
    """
    samples = {label: _sample(labels, label) for pair in pairs for label in pair}
    pairs = tuple(pair for pair in pairs if all(samples[label] is not None for label in pair))
    if not pairs:
        return
    window_px = max(1, round(WINDOW_UM / mpp))
    centres = _LOW + (np.arange(_BINS) + 0.5) * (_HIGH - _LOW) / _BINS
    row = labels.astype(np.int32) * _BINS
    for along_h, along_e in _DIRECTIONS:
        mean = ndimage.uniform_filter(
            np.float32(along_h) * haematoxylin + np.float32(along_e) * eosin, window_px
        )
        shift = np.zeros((256, _BINS), np.float32)
        for pair in pairs:
            quantiles = [np.quantile(mean.ravel()[samples[label]], _LEVELS) for label in pair]
            middle = (quantiles[0] + quantiles[1]) / 2
            for label, own in zip(pair, quantiles, strict=True):
                inside = np.clip(centres, own[0], own[-1])
                shift[label] = np.interp(inside, own, middle) - inside
        bins = ((mean - np.float32(_LOW)) * np.float32(_BINS / (_HIGH - _LOW))).astype(np.int32)
        moved = shift.ravel().take(row + np.clip(bins, 0, _BINS - 1))
        if along_h:
            haematoxylin += np.float32(along_h) * moved
        if along_e:
            eosin += np.float32(along_e) * moved
    np.maximum(haematoxylin, 0, out=haematoxylin)
    np.maximum(eosin, 0, out=eosin)


def _sample(labels: NDArray[np.uint8], label: int) -> NDArray[np.intp] | None:
    """Return flat positions of evenly many pixels of a class; None where there are too few."""
    found = np.flatnonzero(labels.ravel() == label)
    if len(found) < _LEAST_PIXELS:
        return None
    return found[:: max(1, len(found) // _MOST_SAMPLES)]
