"""Area resampling whose result for a pixel depends on that pixel's place in the whole frame alone.

Target pixel i covers the source interval [i * factor, (i + 1) * factor). Its value is the mean over
that interval, fractions of source pixels weighed by their share. Weights are computed from i in the
frame, never from a tile's own origin, so tiles and strips join without a seam.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wsiseg.geometry import Region


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
        return _block_mean(source, int(factor[1]), int(factor[0]))
    rows, row_weights = _taps(target.y, target.height, factor[1], source_at.y)
    columns, column_weights = _taps(target.x, target.width, factor[0], source_at.x)
    tall = _weighted(source, rows, row_weights, axis=0)
    mean: NDArray[np.float32] = _weighted(tall, columns, column_weights, axis=1) + np.float32(0.5)
    return np.floor(mean).astype(np.uint8)


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
    """Sum the taps in a fixed order; float32."""
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total: NDArray[np.float32] | None = None
    for tap in range(index.shape[1]):
        part: NDArray[np.float32] = np.multiply(
            np.take(source, index[:, tap], axis=axis), weights[:, tap].reshape(shape), dtype=np.float32
        )
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # noqa: S101 - there is always at least one tap
    return total


def _block_mean(source: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Average whole blocks of rows x columns pixels in integers."""
    height, width, channels = source.shape
    total = np.zeros((height // rows, width // columns, channels), np.uint32)
    for row in range(rows):
        for column in range(columns):
            total += source[row::rows, column::columns]
    area = rows * columns
    return ((total + area // 2) // area).astype(np.uint8)
