"""Labels that come in parts: coarse levels follow each part, exactly."""

import numpy as np
import pytest

from wsiseg.geometry import Region
from wsiseg.pyramid.levels import halve_labels
from wsiseg.tiling.grid import TileGrid
from wsiseg.viewing.growing import GrowingLevels

ROWS, COLUMNS, BLOCK = 301, 437, 128
GRID = TileGrid.fit(COLUMNS, ROWS, tile_px=64, halo_px=8, block_px=BLOCK)


@pytest.fixture
def levels():
    return GrowingLevels(None, GRID, set())  # nothing of it is stored


def parts_of(random, count):
    """Rectangles anywhere, each within its block."""
    for _ in range(count):
        block = GRID.block(int(random.integers(3)), int(random.integers(4)))
        x, y = int(random.integers(block.width)), int(random.integers(block.height))
        width, height = (int(random.integers(1, side + 1)) for side in (block.width - x, block.height - y))
        yield Region(block.x + x, block.y + y, width, height)


def test_each_level_is_the_whole_halved(levels):
    random = np.random.default_rng(11)
    labels = np.full((ROWS, COLUMNS), 255, np.uint8)
    for number, at in enumerate(parts_of(random, 60)):
        part = random.integers(0, 4, at.shape).astype(np.uint8)
        labels[at.slices_in(GRID.region)] = part
        levels.show_part(at, part)
        if number % 7:
            continue  # several parts between two looks
        wanted = labels
        for level, (rows, columns) in enumerate(levels.shapes):
            found = levels.read(level, Region(0, 0, columns, rows))
            assert (found == wanted).all(), (number, level)
            wanted = halve_labels(wanted)


def test_only_where_nothing_is_shown(levels):
    levels.show_part(Region(0, 0, 40, 30), np.full((30, 40), 3, np.uint8))
    levels.show_part(Region(0, 0, 64, 64), np.full((64, 64), 5, np.uint8), only_where_empty=True)
    found = levels.read(0, Region(0, 0, 64, 64))
    assert (found[:30, :40] == 3).all()
    assert (found == 5).sum() == 64 * 64 - 30 * 40


def test_a_block_that_is_dropped_is_not_analysed(levels):
    at = GRID.block(1, 1)
    levels.show_part(Region(at.x, at.y, 10, 10), np.full((10, 10), 3, np.uint8))
    assert (levels.read(1, Region(64, 64, 5, 5)) == 3).all()
    levels.show_part(at, np.full(at.shape, 255, np.uint8))
    assert levels._partial == {}
