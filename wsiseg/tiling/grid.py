"""How a label map is cut: blocks (units of work and of resume) and tiles (network inputs).

Integers only, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsiseg.geometry import Region, ceil_div

PHASE_PX = 8
"""Tile origins and halos are multiples of the network's total stride: every tile is sampled in one phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """A label map of `width_px` x `height_px`, its blocks and its tiles.

    Blocks start at multiples of `block_px`; tiles start at multiples of their own sides inside a block.
    Each network input has one fixed shape: the tile with `halo_px` of context on every side.
    """

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int
    halo_px: int
    block_px: int = 2048

    def __post_init__(self) -> None:
        for name in ("tile_width_px", "tile_height_px", "halo_px", "block_px"):
            value = getattr(self, name)
            if value % PHASE_PX or value < 0 or (value == 0 and name != "halo_px"):
                raise ValueError(
                    f"{name} is {value}, but must be a positive multiple of {PHASE_PX}: "
                    f"use {max(1, ceil_div(value, PHASE_PX)) * PHASE_PX}"
                )
        for side, tile in ((self.width_px, self.tile_width_px), (self.height_px, self.tile_height_px)):
            if side < 1:
                raise ValueError(f"a label map of {self.width_px} x {self.height_px} px has no pixels")
            if self.block_px % tile and tile < min(side, self.block_px):
                raise ValueError(f"tile side {tile} must divide the block side {self.block_px}")

    @classmethod
    def fit(
        cls,
        width_px: int,
        height_px: int,
        *,
        tile_px: int,
        halo_px: int,
        block_px: int = 2048,
        phase_px: int = 8,
    ) -> TileGrid:
        """Return the grid whose tiles are `tile_px`, or as small as the label map where that is smaller.

        Raises ValueError, with the value to use, for a tile or halo that is out of the network's phase.
        """

        def side(length: int) -> int:
            return min(tile_px, ceil_div(length, phase_px) * phase_px)

        for name, value in (("tile", side(width_px)), ("tile", side(height_px)), ("halo", halo_px)):
            if value % phase_px:
                raise ValueError(
                    f"{name}_px is {value}, but must be a multiple of {phase_px}: "
                    f"use {ceil_div(value, phase_px) * phase_px}"
                )
        return cls(
            width_px=width_px,
            height_px=height_px,
            tile_width_px=side(width_px),
            tile_height_px=side(height_px),
            halo_px=halo_px,
            block_px=block_px,
        )

    @property
    def region(self) -> Region:
        """The whole label map."""
        return Region(0, 0, self.width_px, self.height_px)

    @property
    def input_shape(self) -> tuple[int, int]:
        """(rows, columns) of every network input."""
        return self.tile_height_px + 2 * self.halo_px, self.tile_width_px + 2 * self.halo_px

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield (block row, block column), row by row."""
        for row in range(ceil_div(self.height_px, self.block_px)):
            for column in range(ceil_div(self.width_px, self.block_px)):
                yield row, column

    def block(self, row: int, column: int) -> Region:
        """Return the pixels of one block, clipped to the label map."""
        whole = Region(column * self.block_px, row * self.block_px, self.block_px, self.block_px)
        return whole.intersect(self.region)

    def tiles(self, block: Region) -> Iterator[Region]:
        """Yield the tiles of a block, clipped to it, row by row; together they cover it exactly once."""
        for y in range(block.y, block.bottom, self.tile_height_px):
            for x in range(block.x, block.right, self.tile_width_px):
                yield Region(x, y, self.tile_width_px, self.tile_height_px).intersect(block)

    def tile_input(self, tile: Region) -> Region:
        """Return the network input of a tile; it may reach beyond the label map."""
        return Region(tile.x, tile.y, self.tile_width_px, self.tile_height_px).grow(self.halo_px)
