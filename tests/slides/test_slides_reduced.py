"""JPEG tiles decoded smaller: about the mean of what they stand for, and never less sure about damage."""

import numpy as np
import pytest
import tifffile
from slide_files import write_tiff

from wsiseg.geometry import Region, ceil_div
from wsiseg.phantom.generate import generate_phantom
from wsiseg.slides import ArraySlide, open_slide
from wsiseg.slides.slide import Level
from wsiseg.slides.tiles import shrunk
from wsiseg.tiling.frame import FrameReader, choose_reduction, frame_at
from wsiseg.tiling.resample import area_mean

GREY_LEVEL = 1.0


def block_mean(rgb, by):
    """Mean of each by x by pixels, the last row and column repeated at an odd edge."""
    rows, columns = ceil_div(rgb.shape[0], by) * by, ceil_div(rgb.shape[1], by) * by
    padding = ((0, rows - rgb.shape[0]), (0, columns - rgb.shape[1]), (0, 0))
    return np.pad(rgb, padding, mode="edge").reshape(rows // by, by, columns // by, by, 3).mean((1, 3))


def worst_tile(found, expected, side):
    """The largest mean difference of any tile, in grey levels."""
    difference = np.abs(found - expected)
    return max(
        difference[row : row + side, column : column + side].mean()
        for row in range(0, found.shape[0], side)
        for column in range(0, found.shape[1], side)
    )


@pytest.fixture
def path(tmp_path):
    rgb = generate_phantom(seed=4, width_px=601, height_px=443).rgb
    return write_tiff(
        tmp_path / "a.tiff",
        [rgb],
        photometric="rgb",
        subsampling=(1, 1),
        compression="jpeg",
        compressionargs={"level": 90, "outcolorspace": "rgb"},
    )


@pytest.mark.parametrize("by", [2, 4, 8])
def test_within_a_grey_level_of_the_mean(path, by):
    with open_slide(path) as slide:
        assert slide.reductions(0) == (2, 4, 8)
        level = slide.levels[0]
        whole = Region(0, 0, ceil_div(level.width_px, by), ceil_div(level.height_px, by))
        found, unread = slide.read_region_masked(0, whole, by)
        expected = block_mean(slide.read_region(0, level.region), by)
    assert found.shape == expected.shape
    assert not unread.any()
    assert worst_tile(found, expected, 64 // by) <= GREY_LEVEL
    edge = np.s_[-(level.height_px // 8 % 8 or 1) :, :]
    assert np.abs(found[edge] - expected[edge]).mean() <= GREY_LEVEL


@pytest.mark.parametrize(
    ("folder", "file", "bys"),
    [("slides", "CMU-1-Small-Region.svs", (2, 4, 8)), ("slides", "CMU-1-wrong-mpp.jpeg.tiff", (8,))],
)
@pytest.mark.shared
def test_real_slides_within_a_grey_level_per_tile(shared_data, folder, file, bys):
    """Against the area resampling that takes its place elsewhere."""
    with open_slide(shared_data / folder / file) as slide:
        level = slide.levels[0]
        side = 240 if file.endswith("svs") else 256
        region = Region(0, 0, level.width_px // side * side, level.height_px // side * side)
        full = slide.read_region(0, region)
        assert slide.reductions(0) == bys
        for by in bys:
            small = Region(0, 0, region.width // by, region.height // by)
            found, unread = slide.read_region_masked(0, small, by)
            expected = area_mean(full, region, small, (float(by), float(by))).astype(float)
            assert not unread.any()
            assert worst_tile(found, expected, side // by) <= GREY_LEVEL


def test_a_region_is_a_part_of_the_whole(path):
    with open_slide(path) as slide:
        whole, _ = slide.read_region_masked(0, Region(0, 0, 301, 222), 2)
        beyond = Region(-5, 200, 400, 60)
        part, unread = slide.read_region_masked(0, beyond, 2)
    inside = beyond.intersect(Region(0, 0, 301, 222))
    np.testing.assert_array_equal(part[inside.slices_in(beyond)], whole[inside.y :, inside.x :])
    assert (part[:, :5] == 255).all()
    assert not unread.any()


def test_damage_is_seen_at_every_size(path):
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, length = page.dataoffsets[3], page.databytecounts[3]
        side = page.tilewidth
    with path.open("r+b") as file:
        file.seek(offset + length // 2)
        file.write(bytes(length - length // 2))
    with open_slide(path) as slide:
        _, full = slide.read_region_masked(0, slide.levels[0].region)
        for by in (2, 4, 8):
            rows, columns = ceil_div(443, by), ceil_div(601, by)
            _, unread = slide.read_region_masked(0, Region(0, 0, columns, rows), by)
            np.testing.assert_array_equal(unread, full[::by, ::by])
    assert full.any()
    assert full[:side, 3 * side : 4 * side].all()


def test_what_cannot_be_read_smaller_says_so(tmp_path):
    slide = ArraySlide(np.zeros((40, 40, 3), np.uint8))
    assert slide.reductions(0) == ()
    with pytest.raises(ValueError, match="cannot be read 2 times smaller"):
        slide.read_region_masked(0, Region(0, 0, 8, 8), 2)
    lossless = write_tiff(tmp_path / "b.tiff", [np.zeros((99, 99, 3), np.uint8)], compression="deflate")
    with open_slide(lossless) as tiff:
        assert tiff.reductions(0) == ()


def test_beyond_the_level_nothing_of_the_tile_counts():
    tile = np.full((16, 16, 3), 200, np.uint8)
    tile[:, 5:] = 0  # whatever a writer left there
    tile[9:] = 17
    np.testing.assert_array_equal(shrunk(tile, (5, 9), 4)[:, :, 0], np.full((4, 4), 200))


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.0, 1), (2.0, 2), (2.004, 1), (4.0, 4), (6.0, 2), (12.0, 4), (16.0, 8), (1.999, 1)],
)
def test_only_where_the_mean_of_means_is_the_mean(factor, expected):
    assert choose_reduction((2, 4, 8), (factor, factor)) == expected
    assert choose_reduction((2, 4, 8), (factor, 3.0)) == 1
    assert choose_reduction((), (factor, factor)) == 1


@pytest.mark.parametrize("mpp", [1.0, 2.0, 8.0])
def test_a_frame_reads_the_smaller_tiles(path, mpp):
    """By the frame's reader: near to the resampling of all pixels."""
    with open_slide(path) as slide:
        frame = frame_at(slide.levels[0], (0.499, 0.499), mpp, whole_within=0.01)
        reader = FrameReader(slide, frame)
        assert reader.by == min(8, round(mpp / 0.5))
        region = Region(0, 0, 600 // reader.by // 2, 440 // reader.by // 2)
        found, _ = reader.read(region)
        full = ArraySlide(slide.read_region(0, slide.levels[0].region), mpp=(0.499, 0.499))
        expected, _ = FrameReader(full, frame).read(region)
    assert worst_tile(found, expected.astype(float), 64) <= GREY_LEVEL


def test_whole_numbers_of_pixels_where_they_are_near():
    level = Level(1000, 800, 1.0)
    near = frame_at(level, (0.499, 0.4985), 1.0, whole_within=0.01)
    assert near.factor_l0 == (2.0, 2.0)
    assert near.mpp == (0.998, 0.997)
    assert (near.width_px, near.height_px) == (500, 400)
    for mpp in ((0.48, 0.499), (0.499, 0.48), (0.34, 0.34), (0.7, 0.7)):
        frame = frame_at(level, mpp, 1.0, whole_within=0.01)
        assert frame.mpp == (1.0, 1.0)
        assert frame == frame_at(level, mpp, 1.0)
    coarse = frame_at(level, (1.2, 1.1), 1.0, whole_within=0.01)
    assert coarse.factor_l0 == (1.0, 1.0)
    assert coarse.mpp == (1.2, 1.1)
