"""Where to look for a class: its largest area that hangs together, found on a coarse level."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from wsiseg.geometry import Region
from wsiseg.viewing.levels import Levels

SEARCHED_PX = 4_000_000
"""Label pixels of the coarsest level that is looked at first."""
MOST_SEARCHED_PX = 64_000_000
"""A class that is not on a level of this size is too rare to jump to."""


def largest_area(levels: Levels, label: int) -> Region | None:
    """Return the box of the largest area of a class, in pixels of level 0; None where none was found.

    Votes may drop a rare class from coarse levels: finer ones are looked at until it is found.
    """
    for level, (rows, columns) in reversed(list(enumerate(levels.shapes))):
        if rows * columns > MOST_SEARCHED_PX:
            return None
        if rows * columns < SEARCHED_PX and level:
            continue
        areas, count = ndimage.label(levels.read(level, Region(0, 0, columns, rows)) == label)
        if not count:
            continue
        number = int(np.argmax(np.bincount(areas.ravel())[1:]))
        at_rows, at_columns = ndimage.find_objects(areas)[number]
        box = Region(
            at_columns.start << level,
            at_rows.start << level,
            (at_columns.stop - at_columns.start) << level,
            (at_rows.stop - at_rows.start) << level,
        )
        whole = Region(0, 0, levels.shapes[0][1], levels.shapes[0][0])
        return box.intersect(whole)
    return None
