"""Pixels shrunk by whole numbers: the mean of each block, in integers."""

from __future__ import annotations

import numpy as np

from wsiseg.slides.slide import RGB


def block_mean(pixels: RGB, rows: int, columns: int) -> RGB:
    """Return the mean of each `rows` x `columns` pixels, rounded half up; both divide the sides.

    (height, width, channels) uint8, before and after.
    """
    area = rows * columns
    room = np.uint16 if area <= 256 else np.uint32  # for the sum of a block and half of its area
    # Rows, then columns: NumPy's own sum over two axes of small steps takes ten times as long.
    high = sum((pixels[row::rows].astype(room) for row in range(1, rows)), pixels[::rows].astype(room))
    total = sum((high[:, column::columns] for column in range(1, columns)), high[:, ::columns])
    mean: RGB = ((total + area // 2) // area).astype(np.uint8)
    return mean
