"""Labels to outlines, exactly along pixel edges; held are one strip of rows and the shapes still open.

Every area of one label that hangs together by pixel edges becomes one outline with its holes. At a corner
where two areas of one label touch they stay apart, and an outline that touches itself is cut there, so
every ring is simple and every polygon valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import ring_area
from wsiseg.annotations.rings import Corners, cut_at_touching_corners
from wsiseg.annotations.strip import NO_LABEL, StripTrace, trace_strip
from wsiseg.errors import InputRefusedError

MOST_OPEN_POINTS = 60_000_000
"""Corners of shapes that are not finished: 480 MB."""

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
_Strip = tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint8] | None, int]
"""Labels, the row above, the row below, and the first row's number in the map."""


@dataclass(slots=True, eq=False)
class Outline:
    """One connected area of one label; corners are (x, y) on the grid of pixel edges."""

    label: int
    exterior: Corners
    """(points, 2) int64, clockwise on a screen."""
    holes: list[Corners]
    area_px: int


@dataclass(slots=True)
class _Shape:
    label: int
    area_px: int = 0
    exterior: Corners | None = None
    holes: list[Corners] = field(default_factory=list)

    def add(self, ring: Corners, *, is_exterior: bool) -> None:
        """Take a ring in; a shape has one exterior."""
        if is_exterior:
            self.exterior = ring
        else:
            self.holes.append(ring)


@dataclass(slots=True)
class _Chain:
    """A piece of a ring whose ends lie in other strips."""

    head: int
    tail: int
    shape: int
    pieces: list[Corners]
    cut: bool


def trace_outlines(
    strips: Iterable[NDArray[np.uint8]],
    wanted: NDArray[np.bool_],
    *,
    least_px: float = 0,
    left_out: Callable[[int], None] = lambda count: None,
    each: Each = map,
) -> Iterator[Outline]:
    """Yield the outlines of a label map given as strips of whole rows from the top down.

    `wanted` (256,) bool says which labels are traced. Areas of fewer than `least_px` pixels are not yielded;
    `left_out` hears how many. Outlines come as they are finished, always in the same order for the same
    strips. `each` does strips as `map` does, perhaps by threads. Raises InputRefusedError where unfinished
    shapes have too many corners.
    """
    state = _State(least_px)
    table = np.where(wanted, np.arange(256, dtype=np.uint8), NO_LABEL).astype(np.uint8)
    for strip, first, last in each(_traced, _between(strips, table)):
        yield from state.add(strip, first, last)
        left_out(state.left_out())
    yield from state.finish()
    left_out(state.left_out())


def _between(strips: Iterable[NDArray[np.uint8]], table: NDArray[np.uint8]) -> Iterator[_Strip]:
    """Yield the labels to trace, each strip with the rows next to it and its first row in the map."""
    current: NDArray[np.uint8] | None = None
    above: NDArray[np.uint8] | None = None
    top = 0
    for given in strips:
        following = table[given]
        if not following.size:
            continue
        if current is not None:
            yield current, above, following[0], top
            above, top = current[-1], top + len(current)
        current = following
    if current is not None:
        yield current, above, None, top


def _traced(strip: _Strip) -> tuple[StripTrace, NDArray[np.uint8], NDArray[np.uint8]]:
    """Return what a strip holds, and the labels of its first and last row."""
    labels = strip[0]
    return trace_strip(*strip), labels[0], labels[-1]


class _State:
    """Shapes and ring pieces that reach into the next strip."""

    def __init__(self, least_px: float) -> None:
        self._least_px = least_px
        self._left_out = 0
        self._shapes: dict[int, _Shape] = {}
        self._joined: dict[int, int] = {}
        self._by_head: dict[int, _Chain] = {}
        self._by_tail: dict[int, _Chain] = {}
        self._last: NDArray[np.int64] | None = None
        self._last_labels: NDArray[np.uint8] | None = None
        self._next_shape = 0
        self._points = 0

    def left_out(self) -> int:
        """Return how many areas were too small since this was asked last."""
        count, self._left_out = self._left_out, 0
        return count

    def add(
        self, strip: StripTrace, first_row: NDArray[np.uint8], last_row: NDArray[np.uint8]
    ) -> Iterator[Outline]:
        """Take in a strip, whose first and last row have these labels; yield what it finished."""
        offset = self._next_shape
        self._next_shape += len(strip.shape_label)
        goes_on = np.zeros(len(strip.shape_label), bool)
        goes_on[strip.first_row] = goes_on[strip.last_row] = True
        is_whole = ~goes_on & (strip.shape_label != NO_LABEL)
        is_large = strip.shape_area >= self._least_px
        self._left_out += int((is_whole & ~is_large).sum())
        yield from _finished(strip, is_whole & is_large)
        for number in np.flatnonzero(goes_on & (strip.shape_label != NO_LABEL)).tolist():
            self._shapes[offset + number] = _Shape(
                int(strip.shape_label[number]), int(strip.shape_area[number])
            )
        if self._last is not None and self._last_labels is not None:
            same = (self._last_labels == first_row) & (first_row != NO_LABEL)
            pairs = np.stack([self._last[same], strip.first_row[same] + offset], axis=1)
            for one, other in np.unique(pairs, axis=0):
                self._join(int(one), int(other))
        rings = strip.rings
        is_exterior = rings.is_exterior
        for number in np.flatnonzero(goes_on[rings.shape]).tolist():
            ring = rings.corners[rings.start[number] : rings.start[number + 1]]
            self._shapes[self._root(offset + int(rings.shape[number]))].add(
                ring, is_exterior=bool(is_exterior[number])
            )
            self._points += len(ring)
        for head, tail, shape, piece, cut in strip.chains:
            self._link(_Chain(head, tail, offset + shape, [piece], cut))
            self._points += len(piece)
        last, place = np.unique(strip.last_row + offset, return_inverse=True)
        roots = np.array([self._root(int(shape)) for shape in last], np.int64)
        self._last = roots[place]
        self._last_labels = last_row
        for chain in self._by_head.values():
            chain.shape = self._root(chain.shape)
        yield from self._release(set(roots.tolist()))
        if self._points > MOST_OPEN_POINTS:
            raise InputRefusedError(
                f"the outlines of shapes that are not finished have more than {MOST_OPEN_POINTS:,} corners: "
                f"export a coarser level with --level"
            )

    def finish(self) -> Iterator[Outline]:
        """Yield what is left."""
        yield from self._release(set())

    def _root(self, shape: int) -> int:
        while shape in self._joined:
            above = self._joined[shape]
            if above in self._joined:
                self._joined[shape] = self._joined[above]
            shape = above
        return shape

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        if one == other:
            return
        small, large = sorted((one, other), key=lambda root: len(self._shapes[root].holes))
        gone = self._shapes.pop(small)
        self._shapes[large].area_px += gone.area_px
        self._shapes[large].holes += gone.holes
        self._joined[small] = large

    def _close(self, shape: int, pieces: list[Corners], cut: bool) -> None:
        ring = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        rings = cut_at_touching_corners(ring) if cut else [ring]
        into = self._shapes[self._root(shape)]
        for item in rings:
            into.add(item, is_exterior=ring_area(item) > 0)
        self._points += sum(len(item) for item in rings)

    def _link(self, chain: _Chain) -> None:
        """Join a piece to those that wait for its ends."""
        before = self._by_tail.pop(chain.head, None)
        if before is not None:
            del self._by_head[before.head]
            chain = _joined(before, chain)
        if chain.tail == chain.head:
            self._points -= sum(len(piece) for piece in chain.pieces)
            self._close(chain.shape, chain.pieces, chain.cut)
            return
        after = self._by_head.pop(chain.tail, None)
        if after is not None:
            del self._by_tail[after.tail]
            chain = _joined(chain, after)
            if chain.tail == chain.head:
                self._points -= sum(len(piece) for piece in chain.pieces)
                self._close(chain.shape, chain.pieces, chain.cut)
                return
        self._by_head[chain.head] = chain
        self._by_tail[chain.tail] = chain

    def _release(self, alive: set[int]) -> Iterator[Outline]:
        for number in sorted(self._shapes.keys() - alive):
            shape = self._shapes.pop(number)
            if shape.exterior is None:
                raise ValueError(f"an area of label {shape.label} has no outline")  # never seen
            self._points -= len(shape.exterior) + sum(len(ring) for ring in shape.holes)
            if shape.area_px < self._least_px:
                self._left_out += 1
                continue
            yield Outline(shape.label, _from_the_top(shape.exterior), shape.holes, shape.area_px)
        self._joined = {}


def _finished(strip: StripTrace, is_whole: NDArray[np.bool_]) -> Iterator[Outline]:
    """Yield the shapes that lie in one strip, by their numbers: of each the exterior, then its holes."""
    rings = strip.rings
    if not is_whole[rings.shape].any():
        return
    order = np.lexsort((~rings.is_exterior, rings.shape))
    order = order[is_whole[rings.shape[order]]]
    shape = rings.shape[order]
    new = np.flatnonzero(np.diff(shape, prepend=-1))
    first, last = rings.start[order].tolist(), rings.start[order + 1].tolist()
    labels, areas = strip.shape_label[shape[new]].tolist(), strip.shape_area[shape[new]].tolist()
    begins = new.tolist()
    corners = rings.corners
    for begin, end, label, area in zip(begins, [*begins[1:], len(order)], labels, areas, strict=True):
        holes = [corners[first[hole] : last[hole]] for hole in range(begin + 1, end)]
        yield Outline(label, corners[first[begin] : last[begin]], holes, area)


def _joined(before: _Chain, after: _Chain) -> _Chain:
    """Append one piece to another, the shorter list to the longer."""
    if len(before.pieces) >= len(after.pieces):
        before.pieces.extend(after.pieces)
        pieces = before.pieces
    else:
        after.pieces[:0] = before.pieces
        pieces = after.pieces
    return _Chain(before.head, after.tail, after.shape, pieces, before.cut or after.cut)


def _from_the_top(ring: Corners) -> Corners:
    """Let a ring begin at its first corner in reading order, wherever the strips were cut."""
    return np.roll(ring, -int(np.lexsort((ring[:, 0], ring[:, 1]))[0]), axis=0)
