"""Find which part of a region cannot be read, for backends that do not know their tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideReadError
from wsiseg.geometry import Region
from wsiseg.slides.slide import RGB, SlideClosedError

if TYPE_CHECKING:
    from wsiseg.slides.base import SlideBase

CELL_PX = 256
"""Side of the smallest square that is called unread as a whole."""


def read_by_quarters(slide: SlideBase, level: int, inside: Region) -> tuple[RGB, NDArray[np.bool_]]:
    """Read `inside` (within the level); where that fails, read its quarters, down to squares of `CELL_PX`.

    The squares lie on a grid that starts at the level's origin; where the region cuts one, only the
    part inside is tried. So at most 4/3 as many reads as squares touched, plus one, however much is
    damaged. Returns the pixels, background where unread, and (rows, columns) bool, True where unread.
    """
    pixels = np.empty((*inside.shape, 3), dtype=np.uint8)
    unread = np.zeros(inside.shape, dtype=np.bool_)
    try:
        pixels[:] = slide._read_inside(level, inside)
    except SlideClosedError:
        raise
    except SlideReadError:
        side = CELL_PX
        while side < max(inside.right, inside.bottom):
            side *= 2
        pixels[:] = slide.background
        _descend(slide, level, inside, Region(0, 0, side, side), pixels, unread)
    return pixels, unread


def _descend(
    slide: SlideBase, level: int, inside: Region, square: Region, pixels: RGB, unread: NDArray[np.bool_]
) -> None:
    wanted = square.intersect(inside)
    if not wanted.area:
        return
    where = wanted.slices_in(inside)
    if wanted != inside:  # the whole has failed already
        try:
            pixels[where] = slide._read_inside(level, wanted)
            return
        except SlideClosedError:
            raise
        except SlideReadError:
            pass
    half = square.width // 2
    if half < CELL_PX:
        unread[where] = True
        return
    for dy in (0, half):
        for dx in (0, half):
            quarter = Region(square.x + dx, square.y + dy, half, half)
            _descend(slide, level, inside, quarter, pixels, unread)
