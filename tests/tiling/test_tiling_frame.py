import numpy as np
import pytest
import tifffile

from wsiseg.geometry import Region
from wsiseg.slides import ArraySlide, open_slide
from wsiseg.tiling import frame as home
from wsiseg.tiling.frame import FrameReader, frame_at


class Watched(ArraySlide):
    """An array of which one pixel cannot be read, and that notes the largest read."""

    largest = 0

    def read_region_masked(self, level, region, by=1):
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
    assert slide.largest <= 4200  # fractions of a source pixel at the borders of a piece, or its last row


@pytest.mark.parametrize("reach", [0, 3])
def test_what_a_rounded_level_lacks_is_not_glass(tmp_path, reach):
    """401 px are 100 at a quarter: the 101st pixel of the frame is the last of the level, not background."""
    levels = [np.full((401, 401, 3), 90, np.uint8), np.full((100, 100, 3), 60, np.uint8)]
    levels[1][:, -1] = 70
    with tifffile.TiffWriter(tmp_path / "a.tiff") as tiff:
        for number, level in enumerate(levels):
            tiff.write(level, tile=(128, 128), photometric="rgb", subfiletype=number)
    with open_slide(tmp_path / "a.tiff") as slide:
        frame = frame_at(slide.levels[0], (0.25, 0.25), 1.0)
        assert (frame.width_px, frame.height_px) == (101, 101)
        reader = FrameReader(slide, frame)
        assert reader.level == 1
        rgb, unread = reader.read(Region(80, 90, 21 + reach, 11 + reach))
        alone, _ = reader.read(Region(100, 100, 1, 1))
    assert unread is None
    np.testing.assert_array_equal(rgb[:11, :19], 60)
    np.testing.assert_array_equal(rgb[:11, 19:21], 70)
    np.testing.assert_array_equal(alone, 70)
    assert (rgb[11:] == 255).all()
    assert (rgb[:, 21:] == 255).all()
