"""A classifier that sees only the mean colour of the 5 x 5 pixels around each pixel.

Phantoms have to be told apart by architecture; this measures how far colour alone gets. It is a Bayes
classifier over a histogram of the mean colour, smoothed, once with the classes' own frequencies and once
with equal ones; the better of the two is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WINDOW_PX = 5
_BINS = 32
_SMOOTHING_BINS = 0.8


def mean_colour(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (rows, columns, 3) float32: the mean of 5 x 5 pixels, 0 to 255."""
    return np.asarray(ndimage.uniform_filter(rgb.astype(np.float32), (WINDOW_PX, WINDOW_PX, 1)))


def _bins(rgb: NDArray[np.uint8]) -> NDArray[np.intp]:
    index = np.minimum((mean_colour(rgb) * (_BINS / 256)).astype(np.intp), _BINS - 1)
    return np.asarray((index[..., 0] * _BINS + index[..., 1]) * _BINS + index[..., 2])


@dataclass(slots=True)
class ColourBaseline:
    """Histograms (class, colour bin) of the classes in `ids`."""

    ids: tuple[int, ...]
    counts: NDArray[np.float64]

    @classmethod
    def empty(cls, ids: Sequence[int]) -> ColourBaseline:
        """Return a baseline that has seen nothing."""
        return cls(tuple(ids), np.zeros((len(ids), _BINS**3)))

    def learn(self, rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Count the pixels of a picture whose label is one of the classes."""
        bins = _bins(rgb)
        for row, label in enumerate(self.ids):
            self.counts[row] += np.bincount(bins[labels == label], minlength=_BINS**3)

    def decisions(self, *, balanced: bool) -> NDArray[np.uint8]:
        """Return the class id for each colour bin; `balanced` gives every class the same weight."""
        cube = self.counts.reshape(-1, _BINS, _BINS, _BINS)
        smooth = ndimage.gaussian_filter(cube, (0, *[_SMOOTHING_BINS] * 3), mode="constant")
        # A wide, faint copy decides where nothing was seen in training.
        smooth = smooth + 1e-4 * ndimage.gaussian_filter(cube, (0, 3, 3, 3), mode="constant")
        if balanced:
            smooth = smooth / np.maximum(self.counts.sum(axis=1), 1)[:, None, None, None]
        best = smooth.argmax(axis=0).ravel()
        return np.asarray(np.asarray(self.ids, np.uint8)[best])

    def look_up(self, rgb: NDArray[np.uint8], decisions: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (rows, columns) uint8: the class that `decisions` gives to each pixel, one of `ids`."""
        bins = _bins(rgb)
        return np.asarray(decisions[bins.ravel()].reshape(bins.shape))
