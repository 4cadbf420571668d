"""Properties of the geometry at odd sizes and factors: every pixel is read, weighed and written once."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.geometry import Region
from wsiseg.slides import ArraySlide
from wsiseg.tiling.frame import FrameReader, frame_at
from wsiseg.tiling.grid import TileGrid
from wsiseg.tiling.resample import area_any, area_mean, source_region, source_span

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
sides = st.integers(1, 90)
factors = st.one_of(st.floats(1.0, 9.0), st.sampled_from([1.0, 2.0, 4.0, 1.0 / 0.998, 2.004, 3.1999, 8.017]))


@QUICK
@given(factors, st.integers(-40, 400), st.integers(1, 60))
def test_neighbouring_spans_leave_no_source_pixel_out(factor, start, count):
    """What a run of target pixels needs is what its parts need, without a gap."""
    first, length = source_span(start, count, factor)
    ends = [source_span(pixel, 1, factor) for pixel in range(start, start + count)]
    assert ends[0][0] == first
    assert ends[-1][0] + ends[-1][1] == first + length
    for (left, left_length), (right, _) in itertools.pairwise(ends):
        assert left + left_length - 1 <= right <= left + left_length  # they share one pixel at most


@QUICK
@given(factors, factors, sides, sides, st.integers(0, 255))
def test_weights_add_up_to_one(fx, fy, width, height, grey):
    """An even surface stays exactly what it is, whatever the factor."""
    target = Region(3, 5, min(width, 40), min(height, 40))
    at = source_region(target, (fx, fy))
    even = np.full((*at.shape, 3), grey, np.uint8)
    assert (area_mean(even, at, target, (fx, fy)) == grey).all()


@QUICK
@given(factors, factors, st.data())
def test_one_marked_source_pixel_is_never_lost(fx, fy, data):
    """The unread pixel of a slide marks one target pixel or more, all of them beside each other."""
    target = Region(0, 0, 12, 9)
    at = source_region(target, (fx, fy))
    row, column = data.draw(st.integers(0, at.height - 1)), data.draw(st.integers(0, at.width - 1))
    mask = np.zeros(at.shape, bool)
    mask[row, column] = True
    rows, columns = np.nonzero(area_any(mask, at, target, (fx, fy)))
    assert len(rows) >= 1
    assert np.ptp(rows) <= 1
    assert np.ptp(columns) <= 1


@QUICK
@given(sides, sides, st.floats(0.2, 2.0), st.floats(0.2, 2.0), st.floats(0.2, 6.0))
def test_a_frame_has_all_of_its_slide(width, height, mpp_x, mpp_y, mpp):
    """The last pixel of a frame lies on the slide's last, and no slide pixel lies beyond it."""
    slide = ArraySlide(np.zeros((height, width, 3), np.uint8), mpp=(mpp_x, mpp_y))
    frame = frame_at(slide.levels[0], (mpp_x, mpp_y), mpp)
    for count, factor, side in (
        (frame.width_px, frame.factor_l0[0], width),
        (frame.height_px, frame.factor_l0[1], height),
    ):
        assert count * factor >= side * (1 - 1e-5)
        assert count == 1 or (count - 1) * factor < side
    whole = frame.from_l0(slide.levels[0].region)
    assert whole == Region(0, 0, frame.width_px, frame.height_px)


@QUICK
@given(sides, sides, st.floats(1.0, 5.0), st.sampled_from([8, 16, 24]), st.sampled_from([0, 8, 16]))
def test_tiles_with_their_halos_are_cut_from_one_picture(width, height, mpp, tile_px, halo_px):
    """Read tile by tile, the frame is what it is read at once: no pixel moves, none is read twice."""
    rgb = np.random.default_rng(width).integers(0, 256, (height * 3, width * 3, 3), np.uint8)
    slide = ArraySlide(rgb, mpp=(1.0, 1.0))
    frame = frame_at(slide.levels[0], (1.0, 1.0), mpp)
    reader = FrameReader(slide, frame)
    grid = TileGrid.fit(frame.width_px, frame.height_px, tile_px=tile_px, halo_px=halo_px, block_px=48)
    whole = reader.read(grid.region)[0]
    around = reader.read(grid.region.grow(64))[0]
    put = np.zeros_like(whole)
    count = np.zeros(whole.shape[:2], int)
    for at in grid.blocks():
        for tile in grid.tiles(grid.block(*at)):
            wide = grid.tile_input(tile)
            given_to_network = reader.read(wide)[0]
            np.testing.assert_array_equal(given_to_network, around[wide.slices_in(grid.region.grow(64))])
            put[tile.slices_in(grid.region)] = given_to_network[tile.slices_in(wide)]
            count[tile.slices_in(grid.region)] += 1
    assert (count == 1).all()
    np.testing.assert_array_equal(put, whole)
