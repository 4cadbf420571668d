"""Rings of points as JSON text, all digits at once: number by number it took most of an export's time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

DECIMALS = 3
"""Of coordinates, where level-0 pixels per label pixel are no whole number."""
_ZERO = ord("0")


def ring_texts(points: NDArray[np.float64], sizes: NDArray[np.int64]) -> list[str]:
    """Return each ring, closed, as `[[x,y],...]`, with up to DECIMALS decimals and no needless zeros.

    `points` (n, 2), 0 or more each, ring after ring; `sizes` points per ring.
    """
    ends = np.cumsum(sizes)
    closed = np.insert(points, ends, points[ends - sizes], axis=0)
    columns, kept = [], []
    for axis, mark in ((0, b"["), (1, b",")):
        digits, wanted = _digits(closed[:, axis])
        columns += [_repeated(mark, len(closed)), digits]
        kept += [np.ones((len(closed), 1), bool), wanted]
    columns.append(_repeated(b"],", len(closed)))
    kept.append(np.ones((len(closed), 2), bool))
    is_kept = np.concatenate(kept, axis=1)
    text = np.concatenate(columns, axis=1)[is_kept].tobytes().decode("ascii")
    until = np.concatenate([[0], np.cumsum(is_kept.sum(1))])[np.concatenate([[0], np.cumsum(sizes + 1)])]
    bounds = until.tolist()
    return [f"[{text[begin : end - 1]}]" for begin, end in pairwise(bounds)]


def _repeated(mark: bytes, rows: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(mark, np.uint8), (rows, len(mark)))


def _digits(values: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the characters of numbers, right-aligned at the point, and which of them are to be written."""
    scaled = np.round(values * 10**DECIMALS).astype(np.int64)
    whole, fraction = np.divmod(scaled, 10**DECIMALS)
    places = len(str(int(whole.max())))
    characters, wanted = np.empty((len(values), places), np.uint8), np.empty((len(values), places), bool)
    rest = whole
    for place in range(places - 1, -1, -1):
        wanted[:, place] = rest > 0
        rest, digit = np.divmod(rest, 10)
        characters[:, place] = digit + _ZERO
    wanted[:, -1] = True
    if not fraction.any():
        return characters, wanted
    after = np.empty((len(values), 1 + DECIMALS), np.uint8)
    shown = np.empty((len(values), 1 + DECIMALS), bool)
    after[:, 0], shown[:, 0] = ord("."), fraction > 0
    for place in range(DECIMALS, 0, -1):
        # Written while anything but zeros stands here or further right.
        shown[:, place] = fraction % 10 ** (DECIMALS - place + 1) > 0
        after[:, place] = fraction // 10 ** (DECIMALS - place) % 10 + _ZERO
        shown[:, place] |= shown[:, place + 1] if place < DECIMALS else False
    return np.concatenate([characters, after], axis=1), np.concatenate([wanted, shown], axis=1)
