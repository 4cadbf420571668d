"""Straight runs of pixel edges, each knowing its successor, joined to rings and chains. Pure NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

Corners = NDArray[np.int64]
"""(points, 2) int64, x and y of pixel corners."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Closed rings, one after the other. Each begins at its first side in reading order."""

    corners: Corners
    start: Numbers
    """(rings + 1,) of each ring's first corner, and the number of corners."""
    shape: Numbers
    """(rings,) that each belongs to."""

    @property
    def is_exterior(self) -> NDArray[np.bool_]:
        """(rings,) whether a ring runs clockwise on a screen; holes run the other way."""
        if not len(self.shape):
            return np.zeros(0, bool)
        x, y = self.corners.T
        following = np.arange(1, len(x) + 1)
        following[self.start[1:] - 1] = self.start[:-1]
        # Edges are level or upright: x times the step in y adds up to the area.
        area: NDArray[np.bool_] = np.add.reduceat(x * (y[following] - y), self.start[:-1]) > 0
        return area


def walk(
    successor: Numbers,
    points: Corners,
    corner: NDArray[np.bool_],
    touching: NDArray[np.bool_],
    shape: Numbers,
    key: Numbers,
    following: Numbers,
    shift: int,
) -> tuple[Rings, list[tuple[int, int, int, Corners, bool]]]:
    """Follow the runs of a strip, which are sorted by key; -1 is the successor of a chain's last run.

    `touching` says that a run ends where two pixels of its shape touch by a corner only. `shift` turns the
    strip's keys into the map's. Returns rings, cut where they would touch themselves, and chains as
    `StripTrace` has them.
    """
    if not len(successor):
        return Rings(points, np.zeros(1, np.int64), shape), []
    member, parts = _parts(successor)
    is_closed = np.ones(parts, bool)
    is_closed[member[successor < 0]] = False
    swapped = _cut_where_touching(successor, points, touching, member, is_closed)
    if swapped is not None:
        successor = swapped
        member, parts = _parts(successor)
        is_closed = np.ones(parts, bool)
        is_closed[member[successor < 0]] = False
    order, start = _in_order(successor, member, parts)
    closed_run = is_closed[member[order]]
    sizes = np.diff(start)
    of_rings = order[closed_run]
    ring_start = np.concatenate([[0], np.cumsum(sizes[is_closed])]).astype(np.int64)
    rings = Rings(points[of_rings], ring_start, shape[of_rings[ring_start[:-1]]])
    chains = []
    for number in np.flatnonzero(~is_closed).tolist():
        where = order[start[number] : start[number + 1]]
        first, last = where[0], where[-1]
        piece, may_touch = points[where[corner[where]]], bool(touching[where].any())
        chains.append(
            (int(key[first]) + shift, int(following[last]) + shift, int(shape[first]), piece, may_touch)
        )
    return rings, chains


def _parts(successor: Numbers) -> tuple[Numbers, int]:
    """Return which ring or chain each run is part of, by the order of their first runs, and their count."""
    has_next = successor >= 0
    ends = np.concatenate([[0], np.cumsum(has_next)])
    graph = csr_array(
        (np.ones(int(ends[-1]), np.int8), successor[has_next], ends), shape=(len(successor), len(successor))
    )
    count, member = connected_components(graph, directed=False)
    return member.astype(np.int64), int(count)


def _cut_where_touching(
    successor: Numbers,
    points: Corners,
    touching: NDArray[np.bool_],
    member: Numbers,
    is_closed: NDArray[np.bool_],
) -> Numbers | None:
    """Return successors that cut rings at corners which they pass twice; None where there are none.

    The two runs that end at such a corner swap their successors. A ring does not cross itself, and all its
    touching corners lie on one side of it, so their chords do not cross either and all can be cut at once.
    """
    before = np.flatnonzero(touching & is_closed[member])
    if not len(before):
        return None
    x, y = points[successor[before]].T
    order = np.lexsort((member[before], x, y))
    before, x, y = before[order], x[order], y[order]
    twice = np.flatnonzero(
        (x[1:] == x[:-1]) & (y[1:] == y[:-1]) & (member[before][1:] == member[before][:-1])
    )
    if not len(twice):
        return None
    one, other = before[twice], before[twice + 1]
    swapped = successor.copy()
    swapped[one], swapped[other] = successor[other], successor[one]
    return swapped


def _in_order(successor: Numbers, member: Numbers, parts: int) -> tuple[Numbers, Numbers]:
    """Return the runs part by part, in the order of the walk, and (parts + 1,) where each part starts."""
    count = len(successor)
    first = np.empty(parts, np.int64)
    first[member[::-1]] = np.arange(count)[::-1]  # of several assignments the last stays: the lowest number
    has_before = np.zeros(count, bool)
    has_before[successor[successor >= 0]] = True
    heads = np.flatnonzero(~has_before)
    first[member[heads]] = heads  # a chain begins at its head
    last = np.empty(parts, np.int64)
    before = np.empty(count, np.int64)
    inner = np.flatnonzero(successor >= 0)
    before[successor[inner]] = inner
    last[member] = before[first[member]]  # of a ring: the run before its first
    tails = np.flatnonzero(successor < 0)
    last[member[tails]] = tails
    # One path through all parts: the end of each leads to the beginning of the next.
    path = successor.copy()
    path[last[:-1]] = first[1:]
    path[last[-1]] = -1
    graph = csr_array(
        (
            np.ones(count - 1, np.int8),
            path[path >= 0],
            np.concatenate([[0], np.cumsum(path >= 0)]),
        ),
        shape=(count, count),
    )
    order = breadth_first_order(graph, int(first[0]), return_predecessors=False).astype(np.int64)
    return order, np.concatenate([[0], np.cumsum(np.bincount(member, minlength=parts))])


def cut_at_touching_corners(ring: Corners) -> list[Corners]:
    """Cut a ring that passes corners twice into rings that pass each once."""
    keys = (ring[:, 1] << 32) | ring[:, 0]
    _, corner, times = np.unique(keys, return_inverse=True, return_counts=True)
    twice = np.flatnonzero(times[corner] > 1)
    if not len(twice):
        return [ring]
    found: list[Corners] = []
    # Pieces between such corners, and the corner that each begins with; the first begins with none.
    pieces, begins_with = [ring[: twice[0]]], [-1]
    place: dict[int, int] = {}
    for begin, end in pairwise([*twice.tolist(), len(ring)]):
        here = int(corner[begin])
        if here in place:
            first = place[here]
            found.append(np.concatenate(pieces[first:]))
            for passed in begins_with[first:]:
                del place[passed]
            del pieces[first:], begins_with[first:]
        place[here] = len(pieces)
        pieces.append(ring[begin:end])
        begins_with.append(here)
    return [*found, np.concatenate(pieces)]
