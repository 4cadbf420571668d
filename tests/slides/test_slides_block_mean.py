"""Means of whole blocks are exact, whatever the sizes."""

import numpy as np
import pytest

from wsiseg.slides.block_mean import STRIP_ROWS, block_mean


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (1, 3), (5, 2), (16, 16), (17, 20)])
@pytest.mark.parametrize("high", [1, STRIP_ROWS - 1, STRIP_ROWS + 3])
def test_means_are_rounded_half_up(rows, columns, high):
    random = np.random.default_rng(rows * columns)
    pixels = random.integers(0, 256, (high * rows, 7 * columns, 3)).astype(np.uint8)
    pixels[:rows] = 255  # the largest sum of all
    total = pixels.reshape(high, rows, 7, columns, 3).sum((1, 3), dtype=np.int64)
    expected = (2 * total + rows * columns) // (2 * rows * columns)
    np.testing.assert_array_equal(block_mean(pixels, rows, columns), expected)
    turned = np.asfortranarray(pixels)
    np.testing.assert_array_equal(block_mean(turned, rows, columns), expected)
