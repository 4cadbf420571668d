"""A huge slide from a small one: the right pixels near and far, in levels that agree."""

import numpy as np
import openslide
import pytest
import tifffile

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region
from wsiseg.phantom.repeated import repeat_tiles

TILE_PX = 64


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A 3 x 2 tile JPEG TIFF (and a ragged edge that must not be repeated), smooth, at 0.25 um/px."""
    path = tmp_path_factory.mktemp("source") / "small.tiff"
    rows, columns = np.mgrid[: 2 * TILE_PX + 9, : 3 * TILE_PX + 17]
    rgb = np.stack([columns % 192, rows, 255 - (rows + columns) // 3], axis=-1).astype(np.uint8)
    tifffile.imwrite(
        path,
        rgb,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": 95},
        resolution=(40000, 40000),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return path


def test_pixels_near_and_far_are_the_sources(source, tmp_path):
    path = tmp_path / "large.tiff"
    repeat_tiles(source, path, 70_000, 50_001)
    assert path.stat().st_size < 30e6
    with openslide.OpenSlide(str(source)) as small, openslide.OpenSlide(str(path)) as large:
        assert large.level_dimensions[0] == (70_000, 50_001)
        factors = [4**level for level in range(large.level_count)]
        assert large.level_count == 5
        assert large.level_downsamples == pytest.approx(factors, rel=0.01)
        assert float(large.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-5)
        unit = (3 * TILE_PX, 2 * TILE_PX)
        expected = np.asarray(small.read_region((0, 0), 0, unit).convert("RGB"))
        for across, down in ((0, 0), (1, 1), (363, 389)):
            place = (across * unit[0], down * unit[1])
            got = np.asarray(large.read_region(place, 0, unit).convert("RGB"))
            assert np.array_equal(got, expected), (across, down)


def test_reduced_levels_are_area_means_everywhere(source, tmp_path):
    path = tmp_path / "large.tiff"
    repeat_tiles(source, path, 6000, 5000)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        finest, reduced = (tiff.pages[index].asarray().astype(float) for index in (0, 1))
    height, width = 1248, 1496
    means = finest[: 4 * height, : 4 * width].reshape(height, 4, width, 4, 3).mean(axis=(1, 3))
    apart = np.abs(means - reduced[:height, :width])
    assert apart.mean() < 4
    assert np.abs(means.mean(axis=(0, 1)) - reduced[:height, :width].mean(axis=(0, 1))).max() < 1


def test_a_real_slide_can_be_repeated(shared_data, tmp_path):
    source = shared_data / "slides" / "CMU-1-Small-Region.svs"
    path = tmp_path / "large.tiff"
    repeat_tiles(source, path, 30_000, 30_000)
    with openslide.OpenSlide(str(source)) as small, openslide.OpenSlide(str(path)) as large:
        assert float(large.properties["openslide.mpp-x"]) == pytest.approx(0.499, rel=1e-4)
        whole = (small.dimensions[0] // 240 * 240, small.dimensions[1] // 240 * 240)
        expected = np.asarray(small.read_region((0, 0), 0, (480, 480)).convert("RGB"))
        got = np.asarray(large.read_region((9 * whole[0], 9 * whole[1]), 0, (480, 480)).convert("RGB"))
        assert np.array_equal(got, expected)


def test_files_that_cannot_be_repeated_are_refused(tmp_path):
    text = tmp_path / "text.tiff"
    text.write_text("not a slide")
    with pytest.raises(InputRefusedError, match="cannot be read"):
        repeat_tiles(text, tmp_path / "out.tiff", 1000, 1000)
    plain = tmp_path / "plain.tiff"
    tifffile.imwrite(plain, np.zeros((64, 64, 3), np.uint8), photometric="rgb", metadata=None)
    with pytest.raises(InputRefusedError, match="JPEG tiles"):
        repeat_tiles(plain, tmp_path / "out.tiff", 1000, 1000)
    silent = tmp_path / "silent.tiff"
    tifffile.imwrite(
        silent,
        np.zeros((64, 64, 3), np.uint8),
        tile=(32, 32),
        photometric="rgb",
        compression="jpeg",
        metadata=None,
    )
    with pytest.raises(InputRefusedError, match="does not say its mpp"):
        repeat_tiles(silent, tmp_path / "out.tiff", 1000, 1000)
    assert not (tmp_path / "out.tiff").exists()


def test_a_size_beyond_the_format_is_refused(source, tmp_path):
    with pytest.raises(UsageError, match="sides must be"):
        repeat_tiles(source, tmp_path / "out.tiff", 0, 1000)
    with pytest.raises(UsageError, match="folder does not exist"):
        repeat_tiles(source, tmp_path / "none" / "out.tiff", 1000, 1000)


def test_glass_lies_around_the_tissue_at_every_level(source, tmp_path):
    path = tmp_path / "sparse.tiff"
    tissue = Region(30 * TILE_PX, 20 * TILE_PX, 6 * TILE_PX, 4 * TILE_PX)
    repeat_tiles(source, path, 6000, 5000, tissue=tissue)
    repeat_tiles(source, tmp_path / "full.tiff", 6000, 5000)
    with tifffile.TiffFile(path) as sparse, tifffile.TiffFile(tmp_path / "full.tiff") as full:
        found, everywhere = sparse.pages[0].asarray(), full.pages[0].asarray()
        inside = tissue.slices_in(Region(0, 0, 6000, 5000))
        np.testing.assert_array_equal(found[inside], everywhere[inside])
        with tifffile.TiffFile(source) as small:
            tiles = small.asarray()[: 2 * TILE_PX, : 3 * TILE_PX]
        tiles = (
            tiles.reshape(2, TILE_PX, 3, TILE_PX, 3).transpose(0, 2, 1, 3, 4).reshape(6, TILE_PX, TILE_PX, 3)
        )
        glass = max(tiles, key=lambda tile: tile.min())
        np.testing.assert_array_equal(found[:TILE_PX, :TILE_PX], glass)
        coarse = sparse.pages[1].asarray()[:TILE_PX, :TILE_PX].reshape(-1, 3)
        assert np.abs(coarse.mean(0) - glass.reshape(-1, 3).mean(0)).max() < 2
