"""The labels of a run that is not finished, at every level: what is there, and 255 for the rest.

Coarse levels are written by tasks of their own, late in a run. Until then they are made here from the blocks
under them, by the same vote: a block begins at a multiple of its side, a power of two, so that what a viewer
sees does not change when the run is done.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.geometry import Region, ceil_div
from wsiseg.pyramid.levels import half_shape, halve_labels
from wsiseg.pyramid.store import ResultStore
from wsiseg.tiling.grid import TileGrid
from wsiseg.viewing.levels import Pixels, halved_shapes

Block = tuple[int, int]
"""(row, column)."""

FINE_LEVELS = 2
"""Levels 1 and 2 of a block take 1.3 MB: kept for the blocks last looked at. Coarser ones, 90 kB, stay."""
FINE_BLOCKS = 48


@dataclass(eq=False)
class _Part:
    """A block that the store does not have."""

    levels: list[Pixels]
    """Its labels, the finest first."""
    changed: list[Region] = field(default_factory=list)
    """Where the coarser levels lag behind, in label pixels from the block's corner."""

    def up_to_date(self) -> list[Pixels]:
        """Return the levels, what had changed halved anew: exactly what halving all of it gives."""
        for at in self.changed:
            for level in range(1, len(self.levels)):
                x, y = at.x >> level, at.y >> level
                right, bottom = ceil_div(at.right, 1 << level), ceil_div(at.bottom, 1 << level)
                finer = self.levels[level - 1][2 * y : 2 * bottom, 2 * x : 2 * right]
                self.levels[level][y:bottom, x:right] = halve_labels(finer)
        self.changed = []
        return self.levels


class GrowingLevels:
    """A pyramid over a store that is being written in this process."""

    def __init__(self, store: ResultStore, grid: TileGrid, done: set[Block]) -> None:
        """`done` holds the blocks that the store has. Their side has to be a power of two."""
        if grid.block_px & (grid.block_px - 1):
            raise ValueError(f"block_px is {grid.block_px}: expected a power of two")
        self.store = store
        self.grid = grid
        self.fill: tuple[int, ...] = (NOT_ANALYSED,)
        self._shapes = halved_shapes((grid.height_px, grid.width_px))
        self._done = set(done)
        self._partial: dict[Block, _Part] = {}
        self._fine: OrderedDict[Block, list[Pixels]] = OrderedDict()
        self._coarse: dict[Block, list[Pixels]] = {}
        self._lock = threading.Lock()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """See `Levels.shapes`."""
        return self._shapes

    @property
    def done(self) -> frozenset[Block]:
        """The blocks that the store has."""
        with self._lock:
            return frozenset(self._done)

    def finished(self, block: Block) -> None:
        """Say that the store has a block."""
        with self._lock:
            self._done.add(block)
            self._partial.pop(block, None)
            self._forget(block)

    def show_part(self, at: Region, labels: Pixels, *, only_where_empty: bool = False) -> None:
        """Show a part of a block that the store does not have; all of it as 255 hides it again."""
        block = at.y // self.grid.block_px, at.x // self.grid.block_px
        whole = self.grid.block(*block)
        if at == whole and (labels == NOT_ANALYSED).all():
            self.drop_part(block)
            return
        with self._lock:
            if block in self._done:
                return
            part = self._partial.get(block)
            if part is None:
                shapes = [whole.shape]
                while len(shapes) < len(self._shapes):
                    shapes.append(half_shape(shapes[-1]))
                part = _Part([np.full(shape, NOT_ANALYSED, np.uint8) for shape in shapes])
                self._partial[block] = part
            shown = part.levels[0][at.slices_in(whole)]
            np.copyto(shown, labels, where=(shown == NOT_ANALYSED) if only_where_empty else True)
            part.changed.append(Region(at.x - whole.x, at.y - whole.y, at.width, at.height))

    def drop_part(self, block: Block) -> None:
        """Show a block as not analysed again."""
        with self._lock:
            self._partial.pop(block, None)
            self._forget(block)

    def read(self, level: int, region: Region) -> Pixels:
        """See `Levels.read`."""
        out = np.full(region.shape, NOT_ANALYSED, np.uint8)
        side = self.grid.block_px * self._step(level)
        for row in range((region.y << level) // side, ceil_div(region.bottom << level, side)):
            for column in range((region.x << level) // side, ceil_div(region.right << level, side)):
                for block in self._blocks_under(row, column, level):
                    self._paste(out, region, block, level)
        return out

    def _step(self, level: int) -> int:
        """Return blocks per pixel along a side: more than 1 where a level's pixel is larger than a block."""
        return max(1, (1 << level) // self.grid.block_px)

    def _blocks_under(self, row: int, column: int, level: int) -> list[Block]:
        step = self._step(level)
        with self._lock:
            known = self._done | self._partial.keys()
        if step == 1:
            return [(row, column)] if (row, column) in known else []
        return [at for at in known if (at[0] // step, at[1] // step) == (row, column)]

    def _paste(self, out: Pixels, region: Region, block: Block, level: int) -> None:
        whole = self.grid.block(*block)
        at = Region(
            whole.x >> level,
            whole.y >> level,
            max(1, ceil_div(whole.right, 1 << level) - (whole.x >> level)),
            max(1, ceil_div(whole.bottom, 1 << level) - (whole.y >> level)),
        )
        inside = at.intersect(region)
        if not inside.area:
            return
        pixels = self._pixels(block, level, inside, at)
        target = out[inside.slices_in(region)]
        np.copyto(target, pixels, where=pixels != NOT_ANALYSED)

    def _pixels(self, block: Block, level: int, inside: Region, at: Region) -> Pixels:
        """Return a rectangle of a level of a block, which lies `at` there."""
        with self._lock:
            part = self._partial.get(block)
            if part is not None:
                levels = part.levels if level == 0 else part.up_to_date()
                return levels[level][inside.slices_in(at)].copy()
        if level == 0:
            return self.store.read("label", 0, inside)
        return self._halved(block, level)[inside.slices_in(at)]

    def _halved(self, block: Block, level: int) -> Pixels:
        """Return a level of a block that the store has."""
        with self._lock:
            if level > FINE_LEVELS and block in self._coarse:
                return self._coarse[block][level - FINE_LEVELS - 1]
            if level <= FINE_LEVELS and block in self._fine:
                self._fine.move_to_end(block)
                return self._fine[block][level - 1]
            is_done = block in self._done
        labels = self.store.read("label", 0, self.grid.block(*block))
        levels = []
        for _ in range(len(self._shapes) - 1):
            labels = halve_labels(labels)
            levels.append(labels)
        if is_done:  # else it may have been stored meanwhile
            with self._lock:
                self._coarse[block] = levels[FINE_LEVELS:]
                self._fine[block] = levels[:FINE_LEVELS]
                while len(self._fine) > FINE_BLOCKS:
                    self._fine.popitem(last=False)
        return levels[level - 1]

    def _forget(self, block: Block) -> None:
        self._fine.pop(block, None)
        self._coarse.pop(block, None)
