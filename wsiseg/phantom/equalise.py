"""Takes the colour difference out of two classes, so that only their architecture tells them apart.

Means over 5 um squares are moved, by quantiles, half-way towards those of the other class: along
haematoxylin, eosin, their sum and their difference in turn (a sliced optimal transport).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from wsiseg.phantom.noise import Field

WINDOW_UM = 5.0
_LEAST_PIXELS = 1500
_LEVELS = np.linspace(0, 1, 65)
_ROOT = float(np.sqrt(0.5))
_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (_ROOT, _ROOT), (_ROOT, -_ROOT), (1.0, 0.0), (0.0, 1.0))


def equalise(
    haematoxylin: Field, eosin: Field, labels: np.ndarray, pair: tuple[int, int], mpp: float
) -> None:
    """Match two classes in place; nothing happens where one of them is all but absent.

    `haematoxylin` and `eosin` are (rows, columns) concentrations, `labels` the ids of the same shape.
    """
    flat = labels.ravel()
    members = [np.flatnonzero(flat == label) for label in pair]
    if min(len(index) for index in members) < _LEAST_PIXELS:
        return
    window_px = max(1, round(WINDOW_UM / mpp))
    for along_h, along_e in _DIRECTIONS:
        mixed = np.float32(along_h) * haematoxylin + np.float32(along_e) * eosin
        mean = ndimage.uniform_filter(mixed, window_px).ravel()
        values = [mean[index] for index in members]
        quantiles = [np.quantile(value[:: max(1, len(value) // 20000)], _LEVELS) for value in values]
        middle = (quantiles[0] + quantiles[1]) / 2
        for index, value, own in zip(members, values, quantiles, strict=True):
            shift = (np.interp(value, own, middle) - value).astype(np.float32)
            haematoxylin.ravel()[index] += np.float32(along_h) * shift
            eosin.ravel()[index] += np.float32(along_e) * shift
    np.maximum(haematoxylin, 0, out=haematoxylin)
    np.maximum(eosin, 0, out=eosin)
