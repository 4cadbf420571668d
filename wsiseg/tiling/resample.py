"""Area resampling whose result for a pixel depends on that pixel's place in the whole frame alone.

Target pixel i covers the source interval [i * factor, (i + 1) * factor). Its value is the mean over
that interval, fractions of source pixels weighed by their share. Weights are computed from i in the
frame, never from a tile's own origin, so tiles and strips join without a seam.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wsiseg.geometry import Region
from wsiseg.slides.block_mean import block_mean

STRIP_ROWS = 64
"""Target rows at once, so that what is in between stays in the processor's cache."""


def source_span(start: int, count: int, factor: float) -> tuple[int, int]:
    """Return the first source pixel under target pixels [start, start + count), and how many there are."""
    first = math.floor(_snap(start * factor))
    return first, math.ceil(_snap((start + count) * factor)) - first


def source_region(target: Region, factor: tuple[float, float]) -> Region:
    """Return the source pixels under a target region; `factor` is (x, y) source pixels per target pixel."""
    x, width = source_span(target.x, target.width, factor[0])
    y, height = source_span(target.y, target.height, factor[1])
    return Region(x, y, width, height)


def area_mean(
    source: NDArray[np.uint8], source_at: Region, target: Region, factor: tuple[float, float]
) -> NDArray[np.uint8]:
    """Average `source` (rows, columns, channels), which lies at `source_at`, onto the target region.

    Returns (target.height, target.width, channels) uint8, rounded half up.
    """
    if factor == (1.0, 1.0):
        return source
    if all(value.is_integer() for value in factor):
        return block_mean(source, int(factor[1]), int(factor[0]))
    rows, row_weights = _taps(target.y, target.height, factor[1], source_at.y)
    columns, column_weights = _taps(target.x, target.width, factor[0], source_at.x)
    out = np.empty((*target.shape, source.shape[2]), np.uint8)
    for top in range(0, target.height, STRIP_ROWS):
        at = slice(top, min(top + STRIP_ROWS, target.height))
        first = int(rows[at].min())
        strip = source[first : int(rows[at].max()) + 1]
        tall = _weighted(strip, rows[at] - first, row_weights[at], axis=0)
        mean = _weighted(tall, columns, column_weights, axis=1)
        mean += np.float32(0.5)
        out[at] = mean  # no value is negative: cutting is rounding down
    return out


def area_any(
    source: NDArray[np.bool_], source_at: Region, target: Region, factor: tuple[float, float]
) -> NDArray[np.bool_]:
    """Mark each target pixel that touches a marked source pixel; (rows, columns) bool."""
    if factor == (1.0, 1.0):
        return source
    rows, row_weights = _taps(target.y, target.height, factor[1], source_at.y)
    columns, column_weights = _taps(target.x, target.width, factor[0], source_at.x)
    tall = np.zeros((target.height, source.shape[1]), bool)
    for tap in range(rows.shape[1]):
        tall |= source[rows[:, tap]] & (row_weights[:, tap] > 0)[:, None]
    wide = np.zeros(target.shape, bool)
    for tap in range(columns.shape[1]):
        wide |= tall[:, columns[:, tap]] & (column_weights[:, tap] > 0)[None]
    return wide


def _snap(position: float) -> float:
    """Round away the float error of a position that is meant to be whole."""
    whole = round(position)
    return float(whole) if abs(position - whole) < 1e-6 else position


def _taps(
    start: int, count: int, factor: float, source_start: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return source indices and weights, each (count, taps), of every target pixel along one axis."""
    edges = np.arange(start, start + count + 1, dtype=np.float64) * factor
    whole = np.rint(edges)
    edges = np.where(np.abs(edges - whole) < 1e-6, whole, edges)
    low, high = edges[:-1, None], edges[1:, None]
    taps = math.ceil(factor) + 1
    index = np.floor(low) + np.arange(taps)[None]
    weights = np.clip(np.minimum(index + 1, high) - np.maximum(index, low), 0.0, None) / (high - low)
    last = math.ceil(edges[-1]) - 1
    return (np.minimum(index, last) - source_start).astype(np.intp), weights.astype(np.float32)


def _weighted(
    source: NDArray[np.generic], index: NDArray[np.intp], weights: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Sum the taps of (rows, columns, channels) along one axis, in a fixed order; float32."""
    values = source.astype(np.float32)
    steps = np.diff(index[:, 0])
    step = max(1, int(np.bincount(steps).argmax())) if steps.size else 1
    if axis == 1 and step > 1:
        return _gathered(values, index, weights)
    height, width, channels = values.shape
    # Flat rows: a weight per pixel is repeated for its channels, so that the inner loops are long.
    flat = values.reshape(height, width * channels)
    count = len(index)
    total = np.zeros((count, flat.shape[1]) if axis == 0 else (height, count * channels), np.float32)
    part = np.empty_like(total)
    for start, stop in _runs(steps != step):
        for tap in range(index.shape[1]):
            used = int(np.count_nonzero(weights[start:stop, tap]))
            if not used:
                continue
            # Weights of 0 stand where the last pixels of a run have fewer taps than the first.
            last = start + int(np.flatnonzero(weights[start:stop, tap])[-1]) + 1
            first = int(index[start, 0]) + tap
            taken = slice(first, first + (last - start - 1) * step + 1, step)
            if axis == 0:
                out, given = total[start:last], flat[taken]
                weight = weights[start:last, tap, None]
                room = part[start:last]
            else:
                out = total[:, start * channels : last * channels]
                given = flat[:, taken.start * channels : taken.stop * channels]
                weight = np.repeat(weights[start:last, tap], channels)[None]
                room = part[:, start * channels : last * channels]
            np.multiply(given, weight, out=room)
            np.add(out, room, out=out)
    return total.reshape((count, width, channels) if axis == 0 else (height, count, channels))


def _runs(uneven: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the stretches in which the source index grows evenly."""
    breaks = [0, *(np.flatnonzero(uneven) + 1).tolist(), len(uneven) + 1]
    yield from pairwise(breaks)


def _gathered(
    values: NDArray[np.float32], index: NDArray[np.intp], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Sum the taps along the columns where neighbours lie apart."""
    total = np.take(values, index[:, 0], axis=1) * weights[:, 0].reshape(1, -1, 1)
    for tap in range(1, index.shape[1]):
        total += np.take(values, index[:, tap], axis=1) * weights[:, tap].reshape(1, -1, 1)
    return total
