import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.geometry import Region
from wsiseg.tiling.grid import TileGrid

sides = st.integers(1, 700)


@settings(max_examples=150, deadline=None)
@given(
    sides, sides, st.sampled_from([8, 16, 64, 128]), st.sampled_from([0, 8, 24]), st.sampled_from([128, 256])
)
def test_tiles_cover_every_pixel_exactly_once(width, height, tile_px, halo_px, block_px):
    grid = TileGrid.fit(width, height, tile_px=tile_px, halo_px=halo_px, block_px=block_px)
    seen = np.zeros((height, width), int)
    for at in grid.blocks():
        block = grid.block(*at)
        for tile in grid.tiles(block):
            assert tile.intersect(block) == tile
            seen[tile.slices_in(grid.region)] += 1
            given_to_network = grid.tile_input(tile)
            assert given_to_network.shape == grid.input_shape
            assert given_to_network.x % 8 == 0
            assert given_to_network.y % 8 == 0
    assert (seen == 1).all()


def test_a_small_label_map_gets_small_tiles():
    grid = TileGrid.fit(1108, 1481, tile_px=2048, halo_px=64)
    assert (grid.tile_width_px, grid.tile_height_px) == (1112, 1488)
    assert grid.input_shape == (1488 + 128, 1112 + 128)
    assert list(grid.tiles(grid.block(0, 0))) == [Region(0, 0, 1108, 1481)]


@pytest.mark.parametrize("wrong", [{"halo_px": 12}, {"tile_px": 100}, {"tile_px": 0}])
def test_sides_off_the_phase_are_refused_with_the_value_to_use(wrong):
    with pytest.raises(ValueError, match="multiple of 8: use"):
        TileGrid.fit(5000, 5000, **({"tile_px": 1024, "halo_px": 64} | wrong))


def test_a_tile_that_does_not_divide_the_block_is_refused():
    with pytest.raises(ValueError, match="must divide the block side 2048"):
        TileGrid.fit(5000, 5000, tile_px=1000, halo_px=64)
