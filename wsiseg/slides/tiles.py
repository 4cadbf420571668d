"""Put a region together from a file's tiles, and keep decoded tiles for the neighbours that overlap them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from wsiseg.geometry import Region, ceil_div
from wsiseg.slides.block_mean import block_mean
from wsiseg.slides.slide import RGB

CACHE_BYTES = 64 * 2**20
"""Bound of the decoded tiles that one open slide keeps."""

FAILURE_BYTES = 1024
"""What a remembered failure counts in the cache."""


class TileCache:
    """Decoded tiles, least recently used dropped first, at most `limit` bytes; safe for threads.

    Failures are kept too (as the reason, a str): a damaged tile is not decoded again for every
    neighbour.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._tiles: OrderedDict[Hashable, RGB | str] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, decode: Callable[[], RGB | str]) -> RGB | str:
        """Return the tile of `key`, decoding it (outside of the lock) where it is not kept."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        tile = decode()
        if not isinstance(tile, str):
            tile.flags.writeable = False
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self._bytes += _cost(tile)
            while self._bytes > self._limit:
                self._bytes -= _cost(self._tiles.popitem(last=False)[1])
        return tile

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._tiles.clear()
            self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the kept tiles count."""
        return self._bytes


def _cost(tile: RGB | str) -> int:
    return FAILURE_BYTES if isinstance(tile, str) else tile.nbytes


def read_tiles(
    inside: Region,
    tile_width: int,
    tile_height: int,
    load: Callable[[int, int], RGB | str],
    background: tuple[int, int, int],
) -> tuple[RGB, NDArray[np.bool_], str]:
    """Fill `inside`, a rectangle within the level, from tiles of a grid that starts at the level's origin.

    `load(column, row)` returns the tile's pixels (a tile may end at the level's edge or reach beyond
    it) or the reason why it cannot be read. Returns (rows, columns, 3) uint8, background where unread;
    (rows, columns) bool, True where unread; and the first reason, "" where all was read.
    """
    pixels = np.empty((*inside.shape, 3), dtype=np.uint8)
    unread = np.zeros(inside.shape, dtype=np.bool_)
    first_reason = ""
    for row in range(inside.y // tile_height, ceil_div(inside.bottom, tile_height)):
        for column in range(inside.x // tile_width, ceil_div(inside.right, tile_width)):
            tile = Region(column * tile_width, row * tile_height, tile_width, tile_height)
            part = tile.intersect(inside)
            where = part.slices_in(inside)
            loaded = load(column, row)
            if isinstance(loaded, str):
                pixels[where] = background
                unread[where] = True
                first_reason = first_reason or loaded
            else:
                pixels[where] = loaded[part.slices_in(tile)]
    return pixels, unread, first_reason


def shrunk(tile: RGB, room: tuple[int, int], by: int) -> RGB:
    """Return the mean of each `by` x `by` pixels of a tile that reaches beyond its level.

    `room` is (width, height) of the part inside; beyond it the file may hold anything, so the last row
    and column inside are repeated instead.
    """
    height, width = tile.shape[:2]
    inside = tile[: room[1], : room[0]]
    padding = ((0, height - inside.shape[0]), (0, width - inside.shape[1]), (0, 0))
    return block_mean(np.pad(inside, padding, mode="edge"), by, by)
