"""Which tiles somebody looks at, nearest first: those in view, then what is left of their blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsiseg.geometry import Region, ceil_div
from wsiseg.tiling.grid import TileGrid
from wsiseg.viewing.growing import Block

MOST_VIEW_PX = 4_000_000
"""Label pixels of the largest view that is computed; of a larger one, only what is there is shown."""

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
