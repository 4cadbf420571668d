"""Which tiles somebody looks at, nearest first: those in view, then what is left of their blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsiseg.geometry import Region, ceil_div
from wsiseg.tiling.grid import TileGrid
from wsiseg.viewing.growing import Block

MOST_VIEW_PX = 4_000_000
"""Label pixels of the largest view that is computed; of a larger one, only what is there is shown."""

ANCHOR_PX = 32
"""Passes over a view begin at a multiple of this: in phase with any of our networks."""
EDGE_PX = 8
"""Passes cover this much around a view: a coarser level's pixels reach beyond it."""

ViewL0 = tuple[Region, tuple[float, float]]
"""What a window shows and the (x, y) of its cursor, both in level-0 pixels."""


@dataclass(frozen=True, slots=True)
class View:
    """What a window shows."""

    region: Region
    """In label pixels; may reach beyond the label map."""
    near: tuple[float, float]
    """(x, y) of the cursor, in label pixels, or of the view's centre."""


def tiles_of(view: View, grid: TileGrid) -> list[Region]:
    """Return the tiles to compute for a view, in their order; none where the view is too large."""
    shown = view.region.intersect(grid.region)
    if not shown.area or shown.area > MOST_VIEW_PX:
        return []
    tiles = [tile for block in blocks_in(shown, grid) for tile in grid.tiles(grid.block(*block))]

    def order(tile: Region) -> tuple[bool, float, float]:
        if tile.intersect(shown).area:
            return False, _distance(tile, view.near), 0.0
        return True, _distance(grid.block(*block_of(tile, grid)), view.near), _distance(tile, view.near)

    return sorted(tiles, key=order)


def passes_over(view: View, grid: TileGrid, missing: list[Region]) -> list[Region]:
    """Return tiles that lie as the view does, the nearest first, for the grid's tiles that are `missing`.

    A view of 4 MP has up to nine tiles of the grid in it, mostly with a corner; four of its own cover it.
    None where they would be no fewer.
    """
    shown = view.region.grow(EDGE_PX).intersect(grid.region)
    x, y = shown.x // ANCHOR_PX * ANCHOR_PX, shown.y // ANCHOR_PX * ANCHOR_PX
    passes = [
        Region(left, top, grid.tile_width_px, grid.tile_height_px).intersect(grid.region)
        for top in range(y, shown.bottom, grid.tile_height_px)
        for left in range(x, shown.right, grid.tile_width_px)
    ]
    open_parts = [tile.intersect(shown) for tile in missing]
    passes = [made for made in passes if any(made.intersect(part).area for part in open_parts)]
    if len(passes) >= sum(part.area > 0 for part in open_parts):
        return []
    return sorted(passes, key=lambda made: _distance(made, view.near))


def blocks_in(region: Region, grid: TileGrid) -> Iterator[Block]:
    """Yield the (row, column) of the blocks that a rectangle of the label map touches."""
    side = grid.block_px
    for row in range(region.y // side, ceil_div(region.bottom, side)):
        for column in range(region.x // side, ceil_div(region.right, side)):
            yield row, column


def block_of(tile: Region, grid: TileGrid) -> Block:
    """Return the (row, column) of the block that a tile is in."""
    return tile.y // grid.block_px, tile.x // grid.block_px


def _distance(region: Region, near: tuple[float, float]) -> float:
    """Return the squared distance of a rectangle's centre, in pixels."""
    x, y = region.x + region.width / 2 - near[0], region.y + region.height / 2 - near[1]
    return x * x + y * y
