"""The outlines inside one strip of a label map: corners joined to rings, or to pieces ending at its edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wsiseg.annotations.rings import Corners, Rings, walk

NO_LABEL = 255
"""Not traced."""

# Sides of a pixel in the order of a walk around it, clockwise on a screen: top, right, bottom, left.
_OUTWARD = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""(row, column) step to the pixel beyond a side; the walk along side s moves by _OUTWARD[s + 1]."""
_START_CORNER = ((0, 0), (0, 1), (1, 1), (1, 0))
"""(row, column) of the corner where the walk along a side begins."""


@dataclass(frozen=True, slots=True, eq=False)
class StripTrace:
    """What one strip holds. Shapes are numbered within the strip."""

    shape_label: NDArray[np.uint8]
    shape_area: NDArray[np.int64]
    first_row: NDArray[np.int64]
    """(columns,) shape of each pixel of the first row."""
    last_row: NDArray[np.int64]
    rings: Rings
    """Simple closed rings."""
    chains: list[tuple[int, int, int, Corners, bool]]
    """(key of its first side, key of the side that follows its last, shape, corners, may touch itself)."""


def trace_strip(
    labels: NDArray[np.uint8], above: NDArray[np.uint8] | None, below: NDArray[np.uint8] | None, top: int
) -> StripTrace:
    """Trace (rows, columns) labels whose first row is row `top` of the map, with the rows next to it."""
    rows, columns = labels.shape
    padded = np.full((rows + 2, columns + 2), NO_LABEL, np.uint8)
    padded[1:-1, 1:-1] = labels
    if above is not None:
        padded[0, 1:-1] = above
    if below is not None:
        padded[-1, 1:-1] = below
    shape_of, shape_label, shape_area, first_row, last_row = _shapes(labels)
    edge_row, edge_column = _edge_pixels(padded)
    narrow = edge_column.astype(np.uint16) if columns < 2**16 else edge_column
    upright = np.argsort(narrow, kind="stable")  # of 16 bits NumPy sorts by radix
    by_row, by_column = (edge_row, edge_column), (edge_row[upright], edge_column[upright])
    runs = [_runs(padded, side, *(by_column if side % 2 else by_row)) for side in range(4)]
    key = np.concatenate([run[0] for run in runs])  # local key of the side that a run starts with
    following = np.concatenate([run[1] for run in runs])
    corner = np.concatenate([run[2] for run in runs])
    touching = np.concatenate([run[3] for run in runs])
    order = np.argsort(key)
    key, following, corner, touching = key[order], following[order], corner[order], touching[order]
    side, pixel = key % 4, key // 4
    row, column = pixel // columns, pixel % columns
    start = np.array(_START_CORNER)[side]
    points = np.stack([column + start[:, 1], row + start[:, 0] + top], axis=1)
    shape = shape_of(pixel)
    inside = (following >= 0) & (following < 4 * rows * columns)
    successor = np.full(len(key), -1, np.int64)
    successor[inside] = np.searchsorted(key, following[inside])
    rings, chains = walk(successor, points, corner, touching, shape, key, following, 4 * columns * top)
    return StripTrace(shape_label, shape_area, first_row, last_row, rings, chains)


def _edge_pixels(padded: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (rows, columns) of the traced pixels that differ from one of their four neighbours."""
    here = padded[1:-1, 1:-1]
    across = padded[1:-1, 1:] != padded[1:-1, :-1]
    down = padded[1:, 1:-1] != padded[:-1, 1:-1]
    edge = across[:, 1:] | across[:, :-1] | down[1:] | down[:-1]
    row, column = np.nonzero(edge & (here != NO_LABEL))
    return row, column


def _runs(
    padded: NDArray[np.uint8], side: int, row: NDArray[np.intp], column: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the straight runs of one side: first side's key, key that follows, real corner?, touching?

    `row` and `column` are the edge pixels, line by line as the side runs. Then the k-th start and the k-th
    end are one run's. Keys are 4 * pixel + side, pixels in reading order of the strip; those of other
    strips lie outside of the strip's range.
    """
    rows, columns = padded.shape[0] - 2, padded.shape[1] - 2
    flat = padded.ravel()
    place = (row + 1) * (columns + 2) + column + 1
    here = flat[place]

    def at(down: int, right: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = flat[place + (down * (columns + 2) + right)]
        return found

    out, move = _OUTWARD[side], _OUTWARD[(side + 1) % 4]
    edge = here != at(*out)
    ahead = at(*move) == here
    diagonal = at(out[0] + move[0], out[1] + move[1]) == here
    behind_straight = (at(-move[0], -move[1]) == here) & (at(out[0] - move[0], out[1] - move[1]) != here)
    corner = edge & ~behind_straight
    starts, ends = corner, edge & ~(ahead & ~diagonal)
    if move[0]:  # vertical runs are cut where the strip ends
        first, last = (0, rows - 1) if move[0] > 0 else (rows - 1, 0)
        starts = corner | (edge & (row == first))
        ends |= edge & (row == last)
    is_ahead, is_diagonal = ahead[ends], diagonal[ends]
    # Right turn onto the same pixel, straight on (into another strip), or left turn onto the diagonal one.
    step_row = np.where(is_ahead, move[0] + np.where(is_diagonal, out[0], 0), 0)
    step_column = np.where(is_ahead, move[1] + np.where(is_diagonal, out[1], 0), 0)
    turn = np.where(is_ahead, np.where(is_diagonal, side + 3, side), side + 1) % 4
    following = 4 * ((row[ends] + step_row) * columns + column[ends] + step_column) + turn
    key = 4 * (row[starts] * columns + column[starts]) + side
    return key, following, corner[starts], is_diagonal & ~is_ahead


def _shapes(
    labels: NDArray[np.uint8],
) -> tuple[
    Callable[[NDArray[np.int64]], NDArray[np.int64]],
    NDArray[np.uint8],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
]:
    """Number what hangs together by pixel edges.

    Returns a function from pixel numbers to shapes, each shape's label and pixels, and the shapes of the
    first and the last row.
    """
    rows, columns = labels.shape
    new = np.ones((rows, columns), bool)
    new[:, 1:] = labels[:, 1:] != labels[:, :-1]
    starts = np.flatnonzero(new)  # of the horizontal runs of one label
    lengths = np.diff(starts, append=rows * columns)
    # Two runs touch, one above the other, where the later of their starts has the same label in both rows.
    meet_row, meet_column = np.nonzero((labels[1:] == labels[:-1]) & (new[1:] | new[:-1]))
    upper = np.searchsorted(starts, meet_row * columns + meet_column, side="right") - 1
    lower = np.searchsorted(starts, (meet_row + 1) * columns + meet_column, side="right") - 1
    graph = coo_array((np.ones(len(upper), np.int8), (upper, lower)), shape=(len(starts), len(starts)))
    count, shape_of_run = connected_components(graph, directed=False)
    shape_of_run = shape_of_run.astype(np.int64)
    shape_label = np.full(count, NO_LABEL, np.uint8)
    shape_label[shape_of_run] = labels.ravel()[starts]
    area = np.bincount(shape_of_run, weights=lengths, minlength=count).astype(np.int64)

    def shape_of(pixel: NDArray[np.int64]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = shape_of_run[np.searchsorted(starts, pixel, side="right") - 1]
        return found

    row = np.arange(columns, dtype=np.int64)
    return shape_of, shape_label, area, shape_of(row), shape_of(row + (rows - 1) * columns)
