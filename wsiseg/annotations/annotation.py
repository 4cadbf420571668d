"""One annotated area, and the checks that every reader puts its areas through."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError

Ring = NDArray[np.float64]
"""(points, 2) float64, x and y; the first point is not repeated at the end."""
Warn = Callable[[str], None]

MOST_POINTS = 20_000_000
"""Of one file: 320 MB of coordinates."""
MOST_CUTS = 1_000_000
LARGEST_COORDINATE = 1e8
"""Level-0 pixels; slides are a thousand times smaller."""
UNNAMED = "Unclassified"
"""What an annotation without a class is called, as QuPath does."""
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """An area with a class name: the inside of `exterior` (even-odd) that lies in none of the `holes`."""

    name: str
    exterior: Ring
    """Level-0 pixels, the origin at the slide's top left corner."""
    holes: tuple[Ring, ...]
    order: int
    """Place in the file; where areas overlap, the later may win."""
    label: int | None = None
    """Value in a label image, which has no names; None in the other formats."""


def log_warning(text: str) -> None:
    """Hand a warning to Python's logging: what readers do where the caller gives nothing else."""
    logging.getLogger("wsiseg.annotations").warning(text)


class Collector:
    """Takes the areas of one file, checks them, and says at the end what was mended or left out."""

    def __init__(self, path: Path, warn: Warn) -> None:
        self.file = path.name
        self.annotations: list[Annotation] = []
        self._warn = warn
        self._points = 0
        self._cuts = 0
        self._empty = 0
        self._crossing = 0
        self._left_out: Counter[str] = Counter()

    def add(
        self, name: str, exterior: Any, holes: Sequence[Any] = (), *, order: int, label: int | None = None
    ) -> None:
        """Add an area. Raises InputRefusedError for coordinates that are none, or too many."""
        outer = self.ring(exterior, name)
        inner = [self.ring(hole, name) for hole in holes]
        if outer is None:
            self._empty += 1
            return
        kept = tuple(hole for hole in inner if hole is not None)
        if not is_valid(outer, kept):
            self._crossing += 1
        self.annotations.append(Annotation(short_name(name), outer, kept, order, label))

    def add_cut(self, name: str, exterior: Any, cuts: Sequence[Ring], *, order: int) -> None:
        """Add an area out of which checked rings are cut; these may reach beyond it."""
        outer = self.ring(exterior, name)
        self._cuts += len(cuts)
        if self._cuts > MOST_CUTS:
            raise InputRefusedError(
                f"annotation {self.file}: more than {MOST_CUTS:,} pairs of areas and negative areas: split it"
            )
        if outer is None:
            self._empty += 1
            return
        self._crossing += not is_valid(outer, ())
        self.annotations.append(Annotation(short_name(name), outer, tuple(cuts), order))

    def ring(self, points: Any, name: str) -> Ring | None:
        """Return a checked ring, None where it encloses nothing."""
        what = f"annotation {self.file}: a ring of {short_name(name)!r}"
        try:
            ring: Ring = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputRefusedError(f"{what} is not a list of [x, y] points: the file is damaged") from error
        if ring.size == 0:
            return None
        if ring.ndim != 2 or ring.shape[1] < 2:
            raise InputRefusedError(f"{what} is not a list of [x, y] points: the file is damaged")
        self._points += len(ring)
        if self._points > MOST_POINTS:
            raise InputRefusedError(
                f"annotation {self.file}: more than {MOST_POINTS:,} points: simplify or split it"
            )
        ring = ring[:, :2]
        if not (np.abs(ring) <= LARGEST_COORDINATE).all():  # NaN fails, too
            raise InputRefusedError(
                f"{what} has a coordinate that is not finite or beyond {LARGEST_COORDINATE:g}: "
                f"expected level-0 pixels"
            )
        moved = (ring != np.concatenate([ring[-1:], ring[:-1]])).any(1)
        ring = np.ascontiguousarray(ring[moved])
        return None if _on_one_line(ring) else ring

    def leave_out(self, what: str) -> None:
        """Count something that is no area."""
        self._left_out[what[:40]] += 1

    def finish(self) -> list[Annotation]:
        """Return the areas. Raises InputRefusedError where there are none."""
        if self._crossing:
            self._warn(
                f"{self.file}: {self._crossing} outlines cross themselves or their holes: what is enclosed "
                f"an even number of times is taken as outside"
            )
        if self._empty:
            self._warn(f"{self.file}: {self._empty} outlines enclose nothing and were left out")
        if self._left_out:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._left_out.items())[:10])
            self._warn(f"{self.file}: left out, as they are no areas: {kinds}")
        if not self.annotations:
            raise InputRefusedError(f"annotation {self.file}: holds no area: expected at least one polygon")
        return self.annotations


def short_name(name: str) -> str:
    """Return a class name in one line of bounded length; UNNAMED for an empty one."""
    text = " ".join(name.split())
    return (text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "...") or UNNAMED


def _on_one_line(ring: Ring) -> bool:
    """Return whether all points lie on one line: a figure of eight does not, though its area may be 0."""
    if len(ring) < 3:
        return True
    x, y = (ring - ring[0]).T
    return not (x[1] * y - y[1] * x).any()


def ring_area(ring: NDArray[Any]) -> float:
    """Return the signed area of a ring; positive where it runs clockwise on a screen (y down)."""
    # Relative to its first point: far from the origin, products of coordinates lose small areas.
    x, y = (ring - ring[0]).astype(np.float64).T  # x[0] and y[0] are 0: the closing edge adds nothing
    return float(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:])) / 2


def is_valid(exterior: Ring, holes: Sequence[Ring]) -> bool:
    """Return whether no ring crosses itself or another and the holes lie inside (OGC simple features)."""
    import shapely

    return bool(shapely.is_valid(shapely.Polygon(exterior, holes)))
