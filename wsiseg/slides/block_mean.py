"""Pixels shrunk by whole numbers: the mean of each block, in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.slide import RGB

STRIP_ROWS = 32
"""Rows of means at once: their sums stay in the processor's cache."""


def block_mean(pixels: RGB, rows: int, columns: int) -> RGB:
    """Return the mean of each `rows` x `columns` pixels, rounded half up; both divide the sides.

    (height, width, channels) uint8, before and after.
    """
    height, width, channels = pixels.shape
    area = rows * columns
    room = np.uint16 if area <= 256 else np.uint32  # for the sum of a block and half of its area
    mean: RGB = np.empty((height // rows, width // columns, channels), np.uint8)
    for top in range(0, height // rows, STRIP_ROWS):
        strip = pixels[top * rows : (top + STRIP_ROWS) * rows].reshape(-1, rows, width * channels)
        high: NDArray[np.unsignedinteger] = strip[:, 0].astype(room)
        for row in range(1, rows):
            high += strip[:, row]
        # Channel by channel: NumPy's inner loops would be as short as a pixel, and take four times as long.
        for channel in range(channels):
            total = high[:, channel :: columns * channels].copy()
            for column in range(1, columns):
                total += high[:, channel + column * channels :: columns * channels]
            total += area // 2
            total //= area
            mean[top : top + STRIP_ROWS, :, channel] = total
    return mean
