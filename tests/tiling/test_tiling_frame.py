import numpy as np
import pytest

from wsiseg.geometry import Region
from wsiseg.slides import ArraySlide
from wsiseg.tiling import frame as home
from wsiseg.tiling.frame import FrameReader, frame_at


class Watched(ArraySlide):
    """An array of which one pixel cannot be read, and that notes the largest read."""

    largest = 0

    def read_region_masked(self, level, region):
        self.largest = max(self.largest, region.area)
        rgb, unread = super().read_region_masked(level, region)
        lost = Region(333, 222, 1, 1).intersect(region)
        if lost.area:
            unread[lost.slices_in(region)] = True
        return rgb, unread


@pytest.mark.parametrize("mpp", [1.0, 4.0, 7.3, 19.0])
def test_reading_in_pieces_is_reading_at_once(monkeypatch, mpp):
    rgb = np.random.default_rng(8).integers(0, 256, (601, 803, 3), np.uint8)
    slide = Watched(rgb, mpp=(1.0, 1.0))
    frame = frame_at(slide.levels[0], (1.0, 0.9), mpp)
    region = Region(-3, -2, frame.width_px + 6, frame.height_px + 5)
    whole, unread = FrameReader(slide, frame).read(region)
    slide.largest = 0
    monkeypatch.setattr(home, "STRIP_SOURCE_PX", 2000)
    pieces, also_unread = FrameReader(slide, frame).read(region)
    np.testing.assert_array_equal(pieces, whole)
    np.testing.assert_array_equal(also_unread, unread)
    assert unread.any()
    assert slide.largest <= 4000  # fractions of a source pixel at the borders of a piece
