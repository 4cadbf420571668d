"""Pyramids as napari wants them, read tile by tile in the background.

napari asks for the view's pixels while the window waits. So it gets at once what is there, a coarser picture
where something is missing, and what is missing is read by other threads. A new view replaces the list of what
is wanted: what went out of sight before its turn is never read. Memory is bounded by the number of tiles.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_wsiseg.level_array import TILE_PX, LevelArray
from wsiseg.class_map import UNREAD
from wsiseg.errors import WsisegError
from wsiseg.geometry import Region, ceil_div
from wsiseg.viewing.levels import Levels, Pixels, hatch

CACHE_BYTES = 256_000_000
READERS = 2

Key = tuple[int, int, int]
"""(level, tile row, tile column)."""
BASE: Key = (-1, 0, 0)
"""The coarsest level as a whole, see `TiledLevels.base`."""


@dataclass(slots=True)
class _Tile:
    pixels: Pixels
    is_stale: bool = False


class TiledLevels:
    """A pyramid and its tiles. Without a listener it reads what it is asked for before it answers."""

    def __init__(self, levels: Levels, *, is_base_cheap: bool = True, unread: int = UNREAD) -> None:
        """`unread` stands for labels that cannot be read; RGB is hatched there."""
        self.levels = levels
        self.shapes = levels.shapes
        self._fill = np.array(levels.fill, np.uint8)
        self._is_rgb = len(levels.fill) == 3
        self._is_base_cheap = is_base_cheap
        self._unread = unread
        self.on_loaded: Callable[[], None] | None = None
        """Called from a reading thread after each tile; where there is one, reading is in the background."""
        self.failure: str | None = None
        """Why the last tile that could not be read was not."""
        self.tiles_read = 0
        self._most = CACHE_BYTES // (TILE_PX * TILE_PX * (3 if self._is_rgb else 1))
        self._tiles: OrderedDict[Key, _Tile] = OrderedDict()
        self._in_view: list[Key] = []
        self._wanted: deque[Key] = deque()
        self._reading: dict[Key, bool] = {}
        """Tiles that are being read, and whether they have changed meanwhile."""
        self._at_work = 0
        """Reading threads that read, or tell of what they read."""
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self.base = self._read_base()
        """The coarsest level: what stands in where nothing finer is there."""
        self._is_base_stale = False
        last = len(self.shapes) - 1
        rows, columns = self.shapes[last]
        self.arrays = [
            LevelArray(self, level, (rows << (last - level), columns << (last - level)))
            for level in range(last + 1)
        ]
        """One per level. Sides are padded so that each level is exactly half of the one before."""

    def view(self, level: int, region: Region) -> Pixels:
        """Return a rectangle of a level, which may reach beyond it, from what is there; ask for the rest."""
        rows, columns = self.shapes[level]
        shape = (*region.shape, 3) if self._is_rgb else region.shape
        out = np.empty(shape, np.uint8)
        out[:] = self._fill if self._is_rgb else self._fill[0]
        inside = region.intersect(Region(0, 0, columns, rows))
        if not inside.area:
            return out
        in_view: list[Key] = []
        missing: list[Key] = []
        for row in range(inside.y // TILE_PX, ceil_div(inside.bottom, TILE_PX)):
            for column in range(inside.x // TILE_PX, ceil_div(inside.right, TILE_PX)):
                key = (level, row, column)
                in_view.append(key)
                at = self._region(key)
                part = at.intersect(inside)
                tile = self._tile(key)
                if (tile is None or tile.is_stale) and self.on_loaded is None:
                    tile = self._load(key)
                if tile is None or tile.is_stale:
                    missing.append(key)
                pixels = self._stand_in(key, at) if tile is None else tile.pixels
                out[part.slices_in(region)] = pixels[part.slices_in(at)]
        self._ask_for(in_view, missing, region)
        return out

    def invalidate(self, region: Region) -> None:
        """Say that pixels of level 0 have changed; what is shown stays until it has been read again."""
        if self.on_loaded is None:
            self.base = self._read_base()
        with self._changed:
            self._is_base_stale = self.on_loaded is not None
            for key, tile in self._tiles.items():
                tile.is_stale = tile.is_stale or self._shows(key, region)
            for key in self._reading.keys() - {BASE}:
                self._reading[key] = self._reading[key] or self._shows(key, region)
            if self.on_loaded is not None:
                known = set(self._wanted)
                seen = [key for key in self._in_view if key not in known and self._shows(key, region)]
                self._want([*seen, *self._wanted])

    def close(self) -> None:
        """Stop reading and let go of the tiles. Waits for the tiles that are being read."""
        with self._changed:
            self._closed = True
            self.on_loaded = None
            self._wanted.clear()
            self._in_view.clear()
            self._tiles.clear()
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    @property
    def is_idle(self) -> bool:
        """Whether all that was asked for is there."""
        with self._changed:
            return not self._wanted and not self._at_work and not self._is_base_stale

    def _region(self, key: Key) -> Region:
        level, row, column = key
        rows, columns = self.shapes[level]
        whole = Region(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)
        return whole.intersect(Region(0, 0, columns, rows))

    def _shows(self, key: Key, region: Region) -> bool:
        """Return whether a tile shows a pixel of a rectangle of level 0."""
        level = key[0]
        x, y = region.x >> level, region.y >> level
        right, bottom = ceil_div(region.right, 1 << level), ceil_div(region.bottom, 1 << level)
        return self._region(key).intersect(Region(x, y, right - x, bottom - y)).area > 0

    def _tile(self, key: Key) -> _Tile | None:
        with self._changed:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def _stand_in(self, key: Key, at: Region) -> Pixels:
        """Return a tile's pixels from the finest coarser level that is there."""
        level, row, column = key
        for coarser in range(level + 1, len(self.shapes)):
            step = coarser - level
            above = (coarser, row >> step, column >> step)
            with self._changed:
                tile = self._tiles.get(above)
                pixels = self.base if coarser == len(self.shapes) - 1 else tile and tile.pixels
            if pixels is None:
                continue
            origin = self._region(above)
            y, x = (at.y >> step) - origin.y, (at.x >> step) - origin.x
            part = pixels[y : y + ceil_div(at.height, 1 << step), x : x + ceil_div(at.width, 1 << step)]
            large = part.repeat(1 << step, 0).repeat(1 << step, 1)
            return large[: at.height, : at.width]
        return self.base

    def _ask_for(self, in_view: list[Key], missing: list[Key], region: Region) -> None:
        """Let the readers know, nearest to the centre first; what an earlier view wanted is dropped."""
        x, y = region.x + region.width / 2, region.y + region.height / 2

        def distance(key: Key) -> float:
            at = self._region(key)
            return (at.x + at.width / 2 - x) ** 2 + (at.y + at.height / 2 - y) ** 2

        if in_view[0][0] == len(self.shapes) - 1 and not missing:
            return  # a thumbnail, no view
        with self._changed:
            self._in_view = in_view
            self._want(sorted(missing, key=distance))

    def _want(self, keys: list[Key]) -> None:
        """Replace what the readers are to read."""
        if self._closed:
            return
        self._wanted = deque(keys)
        if not self._threads and (keys or self._is_base_stale):
            self._threads = [
                threading.Thread(target=self._read_on, name="wsiseg tiles", daemon=True)
                for _ in range(READERS)
            ]
            for thread in self._threads:
                thread.start()
        self._changed.notify_all()

    def _read_on(self) -> None:
        while (key := self._next()) is not None:
            if key == BASE:
                self._renew_base()
            else:
                self._load(key)
            listener = self.on_loaded
            if listener is not None:
                listener()
            with self._changed:
                self._at_work -= 1

    def _next(self) -> Key | None:
        """Wait for what is to be read next; None once closed."""
        with self._changed:
            while not self._closed:
                while self._wanted:
                    key = self._wanted.popleft()
                    if key not in self._reading:
                        return self._begin(key)
                if self._is_base_stale and BASE not in self._reading:
                    self._is_base_stale = False
                    return self._begin(BASE)
                self._changed.wait()
        return None

    def _begin(self, key: Key) -> Key:
        self._reading[key] = False
        self._at_work += 1
        return key

    def _load(self, key: Key) -> _Tile:
        tile = _Tile(self._read(key[0], self._region(key)))
        with self._changed:
            self.tiles_read += 1
            tile.is_stale = self._reading.pop(key, False)
            if tile.is_stale and key in self._in_view:
                self._want([key, *self._wanted])
            if not self._closed:
                self._tiles[key] = tile
                self._tiles.move_to_end(key)
                while len(self._tiles) > self._most:
                    self._tiles.popitem(last=False)
        return tile

    def _renew_base(self) -> None:
        base = self._read_base()
        with self._changed:
            self.base = base
            self._reading.pop(BASE)
            self._changed.notify_all()

    def _read(self, level: int, at: Region) -> Pixels:
        try:
            return self.levels.read(level, at)
        except (WsisegError, OSError) as error:  # flagged where it is, and said once by whoever shows it
            self.failure = " ".join(str(error).split())
            if not self._is_rgb:
                return np.full(at.shape, self._unread, np.uint8)
            pixels = np.empty((*at.shape, 3), np.uint8)
            hatch(pixels, np.ones(at.shape, bool), at)
            return pixels

    def _read_base(self) -> Pixels:
        """Return the coarsest level; plain where reading it would take minutes."""
        rows, columns = self.shapes[-1]
        if self._is_base_cheap:
            return self._read(len(self.shapes) - 1, Region(0, 0, columns, rows))
        shape = (rows, columns, 3) if self._is_rgb else (rows, columns)
        return np.broadcast_to(self._fill if self._is_rgb else self._fill[0], shape).copy()
