"""Tiles in the background: what is shown meanwhile, what is dropped, what is kept."""

import threading

import numpy as np
import pytest

from napari_wsiseg import tiles as tiles_module
from napari_wsiseg.tiles import TILE_PX, TiledLevels
from wsiseg.errors import SlideReadError
from wsiseg.geometry import Region

LIMIT_S = 120
SIDE = 4 * TILE_PX


class Slow:
    """A pyramid that reads a tile when it is allowed to, and remembers which it read."""

    fill = (255,)

    def __init__(self):
        self.shapes = [(SIDE >> level, SIDE >> level) for level in range(6)]
        self.may_read = threading.Event()
        self.began = threading.Semaphore(0)
        self.read_tiles = []
        self.value = 1

    def read(self, level, region):
        if level < len(self.shapes) - 1:
            self.read_tiles.append((level, region))
            self.began.release()
            assert self.may_read.wait(LIMIT_S)
        return np.full(region.shape, self.value + level, np.uint8)


@pytest.fixture
def slow():
    levels = Slow()
    tiled = TiledLevels(levels)
    loaded = threading.Semaphore(0)
    tiled.on_loaded = loaded.release
    yield levels, tiled, loaded
    levels.may_read.set()
    tiled.close()


def wait(semaphore, count=1):
    for _ in range(count):
        assert semaphore.acquire(timeout=LIMIT_S)


def at(column, row):
    return Region(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)


def test_without_a_window_it_reads_before_it_answers():
    levels = Slow()
    levels.may_read.set()
    array = TiledLevels(levels).arrays[1]
    assert array.shape == (SIDE // 2, SIDE // 2)
    assert (array[10:20, 30:40] == 2).all()
    assert (np.asarray(array) == 2).all()


def test_a_view_never_waits_and_is_complete_later(slow):
    levels, tiled, loaded = slow
    before = tiled.view(0, at(0, 0))  # returns although nothing may be read
    assert (before == levels.value + 5).all(), "the coarsest level stands in"
    levels.may_read.set()
    wait(loaded)
    assert (tiled.view(0, at(0, 0)) == levels.value).all()


def test_what_went_out_of_sight_is_never_read(slow):
    levels, tiled, loaded = slow
    tiled.view(0, Region(0, 0, SIDE, SIDE))  # 16 tiles; the two readers take one each
    wait(levels.began, 2)
    tiled.view(0, at(3, 3))
    levels.may_read.set()
    wait(loaded, 3)
    assert tiled.is_idle
    assert len(levels.read_tiles) == 3
    assert levels.read_tiles[-1] == (0, at(3, 3))


def test_nearest_to_the_centre_first(slow, monkeypatch):
    monkeypatch.setattr(tiles_module, "READERS", 1)  # two begin in order, but may say so in another
    levels, tiled, loaded = slow
    levels.may_read.set()
    tiled.view(0, Region(0, 0, 3 * TILE_PX, 3 * TILE_PX))
    wait(loaded, 9)
    assert levels.read_tiles[0] == (0, at(1, 1))
    corners = {at(0, 0), at(2, 0), at(0, 2), at(2, 2)}
    assert {region for _, region in levels.read_tiles[-4:]} == corners


def test_changed_pixels_are_read_again_and_the_old_stay_meanwhile(slow):
    levels, tiled, loaded = slow
    levels.may_read.set()
    tiled.view(0, Region(0, 0, 2 * TILE_PX, TILE_PX))
    wait(loaded, 2)
    levels.value = 50
    levels.may_read.clear()
    tiled.invalidate(at(0, 0))
    assert (tiled.view(0, Region(0, 0, 2 * TILE_PX, TILE_PX)) == 1).all()
    levels.may_read.set()
    wait(loaded, 2)  # the tile and the coarsest level
    found = tiled.view(0, Region(0, 0, 2 * TILE_PX, TILE_PX))
    assert (found[:, :TILE_PX] == 50).all()
    assert (found[:, TILE_PX:] == 1).all()


def test_what_changes_while_it_is_read_is_read_again(slow):
    levels, tiled, loaded = slow
    tiled.view(0, at(0, 0))
    wait(levels.began)
    tiled.invalidate(at(0, 0))
    levels.may_read.set()
    wait(loaded, 3)  # the tile twice, and the coarsest level
    assert levels.read_tiles == [(0, at(0, 0))] * 2
    assert not tiled._tiles[(0, 0, 0)].is_stale


def test_what_is_out_of_view_is_not_read_again(slow):
    levels, tiled, loaded = slow
    levels.may_read.set()
    tiled.view(0, at(0, 0))
    wait(loaded)
    tiled.view(0, at(3, 3))
    wait(loaded)
    tiled.invalidate(at(0, 0))
    wait(loaded)  # the coarsest level
    assert levels.read_tiles == [(0, at(0, 0)), (0, at(3, 3))]
    tiled.view(0, at(0, 0))
    wait(loaded)
    assert levels.read_tiles[2:] == [(0, at(0, 0))]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(tiles_module, "CACHE_BYTES", 3 * TILE_PX * TILE_PX)
    levels = Slow()
    levels.may_read.set()
    tiled = TiledLevels(levels)
    tiled.view(0, Region(0, 0, SIDE, SIDE))
    assert tiled.tiles_read == 16
    assert len(tiled._tiles) == 3


def test_a_finer_stand_in_is_preferred(slow):
    levels, tiled, loaded = slow
    levels.may_read.set()
    tiled.view(1, Region(0, 0, TILE_PX, TILE_PX))
    wait(loaded)
    levels.may_read.clear()
    assert (tiled.view(0, at(1, 1)) == levels.value + 1).all()
    assert (tiled.view(0, at(3, 3)) == levels.value + 5).all()


def test_labels_whose_coarsest_level_takes_long_are_plain_at_first():
    levels = Slow()
    tiled = TiledLevels(levels, is_base_cheap=False)
    tiled.on_loaded = lambda: None
    assert (tiled.view(0, at(0, 0)) == 255).all()
    assert (np.asarray(tiled.arrays[-1]) == 255).all()
    levels.may_read.set()
    tiled.close()


class Ramp:
    """Pixels that know where they are."""

    fill = (1, 2, 3)

    def __init__(self):
        self.shapes = [(300, 200), (150, 100), (75, 50), (38, 25)]

    def read(self, level, region):
        rows, columns = np.mgrid[region.y : region.bottom, region.x : region.right]
        return np.stack([rows % 256, columns % 256, np.full(rows.shape, level)], -1).astype(np.uint8)


def test_it_is_indexed_as_an_array():
    array = TiledLevels(Ramp()).arrays[0]
    assert array.shape == (304, 200, 3)
    whole = np.asarray(array)
    assert whole.shape == array.shape
    assert (whole[300:] == (1, 2, 3)).all(), "beyond the slide is its background"
    for key in (
        (slice(5, 50), slice(7, 9)),
        (slice(None), 3),
        (7, slice(2, 200, 5)),
        (..., 1),
        (slice(0, 0), slice(None)),
        (-1, -1),
        (slice(20, 2, -3), slice(None), 2),
    ):
        assert np.array_equal(array[key], whole[key]), key


def test_what_cannot_be_read_is_flagged():
    class Broken(Ramp):
        def read(self, level, region):
            if level == 0:
                raise SlideReadError("slide.svs: level 0 cannot be read")
            return super().read(level, region)

    tiled = TiledLevels(Broken())
    assert (tiled.arrays[0][:10, :10, 1] == 0).all(), "no green in the hatching"
    assert "cannot be read" in tiled.failure
