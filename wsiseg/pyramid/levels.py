"""The levels of a label or image pyramid: their sizes, and one exact 2x step down. Pure NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg import confidence
from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.geometry import ceil_div

COARSEST_PX = 512
"""Levels are added until the longer side is at most this."""


def level_shapes(height_px: int, width_px: int) -> list[tuple[int, int]]:
    """Return (rows, columns) of every level, the finest first; each is half of the one before, rounded up."""
    shapes = [(height_px, width_px)]
    while max(shapes[-1]) > COARSEST_PX:
        shapes.append(half_shape(shapes[-1]))
    return shapes


def half_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the next coarser level's (rows, columns)."""
    return ceil_div(shape[0], 2), ceil_div(shape[1], 2)


def halve_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the most frequent of each 2x2 pixels; (rows, columns) to half of it, rounded up.

    Ties: unread (254) wins, so that damage stays in sight; not analysed (255) loses to anything that
    was; among classes the first in reading order. Pixels beyond an odd edge have no vote.
    """
    rows, columns = half_shape(labels.shape)
    if (labels == labels.flat[0]).all():
        return np.full((rows, columns), labels.flat[0], np.uint8)
    if labels.max() < UNREAD:
        return _halve_classes(labels)
    absent = np.int16(-1)
    padded = np.full((rows * 2, columns * 2), absent, np.int16)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    votes = [padded[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    best_score = np.full((rows, columns), -1, np.int16)
    best = np.zeros((rows, columns), np.int16)
    for candidate in votes:
        count = sum((candidate == other).astype(np.int16) for other in votes)
        score = count * np.int16(4) + np.where(
            candidate == UNREAD, np.int16(2), (candidate != NOT_ANALYSED).astype(np.int16)
        )
        score = np.where(candidate == absent, np.int16(-1), score)
        better = score > best_score
        best = np.where(better, candidate, best)
        best_score = np.where(better, score, best_score)
    return best.astype(np.uint8)


def _halve_classes(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Do what `halve_labels` does where all pixels are of classes, an order of magnitude faster."""
    first, right, below, last = _four(labels)
    pair = (right == below) | (right == last)
    # With a pair the first wins: another pair is a tie, and comes later. Without, any other pair beats it.
    takes_first = (first == right) | (first == below) | (first == last) | ~(pair | (below == last))
    return np.where(takes_first, first, np.where(pair, right, below))


def _four(values: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the four of each 2x2 pixels of the last two axes, in reading order; an odd edge is repeated."""
    rows, columns = half_shape((values.shape[-2], values.shape[-1]))
    beyond = (0, rows * 2 - values.shape[-2]), (0, columns * 2 - values.shape[-1])
    if any(more for _, more in beyond):
        values = np.pad(values, ((0, 0),) * (values.ndim - 2) + beyond, mode="edge")
    return [values[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def halve_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average each 2x2 pixels, rounded half up; (channels, rows, columns). An odd edge is repeated."""
    first, *others = _four(image)
    total = sum((other.astype(np.uint16) for other in others), first.astype(np.uint16))
    halved: NDArray[np.uint8] = ((total + 2) >> 2).astype(np.uint8)
    return halved


def halve_confidence(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average the confidences of each 2x2 pixels, rounded half up; (rows, columns) to half, rounded up.

    Pixels without one have no part in the mean. Where none of the four has one, unread wins, then no
    tissue, then not analysed. Pixels beyond an odd edge do not exist.
    """
    rows, columns = half_shape(values.shape)
    padded = np.full((rows * 2, columns * 2), confidence.NOT_ANALYSED, np.uint8)
    padded[: values.shape[0], : values.shape[1]] = values
    four = np.stack([padded[row::2, column::2] for row in (0, 1) for column in (0, 1)])
    spoken = four >= confidence.LOWEST
    count = spoken.sum(0, dtype=np.uint16)
    total = np.where(spoken, four, 0).sum(0, dtype=np.uint16)
    mean = (2 * total + count) // np.maximum(2 * count, 1)
    unread, no_tissue = (four == confidence.UNREAD).any(0), (four == confidence.NO_TISSUE).any(0)
    silent = np.where(unread, confidence.UNREAD, np.where(no_tissue, confidence.NO_TISSUE, 0))
    return np.where(count > 0, mean, silent).astype(np.uint8)
