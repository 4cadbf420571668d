"""Slides and label stores as pyramids whose levels are exactly 2x apart, read by rectangles.

Scanners write levels 4.002 or 32.2 times coarser, and sizes are rounded. A viewer that scales each level by
the ratio of the sizes then shows it shifted. Here level n has 2**n level-0 pixels per pixel, exactly.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg import confidence
from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region, ceil_div
from wsiseg.pyramid.levels import halve_confidence, halve_labels
from wsiseg.run.store_run import HATCH_PX, UNREAD_HATCH
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import Frame, FrameReader

COARSEST_PX = 64
"""Levels are added until the longer side is at most this: small enough for a thumbnail, read at once."""
MOST_SOURCE_PX = 64_000_000
"""Of a slide without coarse levels, a thumbnail is not worth more pixels than this."""

Pixels = NDArray[np.uint8]


class Levels(Protocol):
    """A pyramid. Reading is safe from several threads."""

    fill: tuple[int, ...]
    """What lies beyond the edges: one value for labels, three for RGB."""

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of every level, finest first, each half of the one before, rounded up."""

    def read(self, level: int, region: Region) -> Pixels:
        """Read a rectangle inside a level: (rows, columns) labels or (rows, columns, 3) RGB, uint8."""


def halved_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return (rows, columns) of every level, the coarsest at most COARSEST_PX long."""
    shapes = [shape]
    while max(shapes[-1]) > COARSEST_PX:
        shapes.append((ceil_div(shapes[-1][0], 2), ceil_div(shapes[-1][1], 2)))
    return shapes


class SlideLevels:
    """A slide's RGB; what cannot be decoded is hatched, never white."""

    def __init__(self, slide: Slide) -> None:
        first = slide.levels[0]
        self.fill: tuple[int, ...] = slide.background
        self._shapes = halved_shapes((first.height_px, first.width_px))
        self._readers = [
            FrameReader(slide, Frame((1.0, 1.0), columns, rows, (2.0**level, 2.0**level)), slide.background)
            for level, (rows, columns) in enumerate(self._shapes)
        ]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """See `Levels.shapes`."""
        return self._shapes

    def read(self, level: int, region: Region) -> Pixels:
        """See `Levels.read`. Raises SlideReadError after the slide was closed."""
        rgb, unread = self._readers[level].read(region)
        if unread is not None:
            hatch(rgb, unread, region)
        return rgb

    def is_cheap(self, level: int) -> bool:
        """Return whether a whole level can be read while a user waits."""
        rows, columns = self._shapes[level]
        x, y = self._readers[level].factor
        return rows * columns * x * y <= MOST_SOURCE_PX


def hatch(rgb: Pixels, unread: NDArray[np.bool_], region: Region) -> None:
    """Draw stripes over what is unread, in step from one rectangle to the next."""
    rows, columns = np.ogrid[region.y : region.bottom, region.x : region.right]
    stripe = ((rows + columns) // HATCH_PX) % 2
    rgb[unread] = np.array(UNREAD_HATCH, np.uint8)[stripe[unread]]


class StoreLevels:
    """The labels of a finished store, with levels below its coarsest made by the same vote."""

    def __init__(self, store: LabelStore) -> None:
        self.store = store
        self.fill: tuple[int, ...] = (NOT_ANALYSED,)
        self.unread = UNREAD
        """What stands for pixels that cannot be read."""
        self._shapes = halved_shapes(store.shape(0))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """See `Levels.shapes`."""
        return self._shapes

    def read(self, level: int, region: Region) -> Pixels:
        """See `Levels.read`. Raises InputRefusedError for damaged data."""
        stored = len(self.store.levels)
        if level < stored:
            return self._stored(level, region)
        rows, columns = self.store.shape(stored - 1)
        pixels = self._stored(stored - 1, Region(0, 0, columns, rows))
        for _ in range(level - stored + 1):
            pixels = self._halved(pixels)
        return pixels[region.slices_in(Region(0, 0, 0, 0))]

    def _stored(self, level: int, region: Region) -> Pixels:
        return self.store.read(level, region)

    def _halved(self, pixels: Pixels) -> Pixels:
        return halve_labels(pixels)


class ConfidenceLevels(StoreLevels):
    """The confidences of a finished store that has them, see `wsiseg.confidence`."""

    def __init__(self, store: LabelStore) -> None:
        super().__init__(store)
        self.fill = (confidence.NOT_ANALYSED,)
        self.unread = confidence.UNREAD

    def _stored(self, level: int, region: Region) -> Pixels:
        return self.store.read_confidence(level, region)

    def _halved(self, pixels: Pixels) -> Pixels:
        return halve_confidence(pixels)
