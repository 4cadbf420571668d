"""The written slide opens in OpenSlide and tifffile, with its levels, its mpp and the drawn pixels."""

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from wsiseg.errors import UsageError
from wsiseg.phantom.generate import generate_phantom
from wsiseg.phantom.parameters import HELD_OUT_RANGES
from wsiseg.phantom.slide_file import halved, write_phantom_slide

WIDTH_PX, HEIGHT_PX, MPP = 1300, 1100, 0.5


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slide")
    slide, truth = folder / "phantom.tiff", folder / "truth.png"
    write_phantom_slide(
        slide, seed=2, width_px=WIDTH_PX, height_px=HEIGHT_PX, mpp=MPP, ranges=HELD_OUT_RANGES, truth=truth
    )
    drawn = generate_phantom(2, WIDTH_PX, HEIGHT_PX, MPP, ranges=HELD_OUT_RANGES, outline="island")
    return slide, truth, drawn


def test_openslide_sees_all_levels_and_the_mpp(written):
    with openslide.OpenSlide(str(written[0])) as slide:
        assert slide.level_dimensions == ((1300, 1100), (650, 550), (325, 275))
        assert slide.level_downsamples == pytest.approx((1, 2, 4))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(MPP, rel=1e-6)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(MPP, rel=1e-6)


def test_pixels_are_those_drawn(written):
    slide_path, _, drawn = written
    with openslide.OpenSlide(str(slide_path)) as slide:
        for level, expected in enumerate((drawn.rgb, halved(drawn.rgb), halved(halved(drawn.rgb)))):
            height, width = expected.shape[:2]
            got = np.asarray(slide.read_region((0, 0), level, (width, height)).convert("RGB"))
            apart = got.astype(int) - expected
            assert np.abs(apart).mean() < 4  # JPEG with halved chroma
            assert np.abs(apart.mean(axis=(0, 1))).max() < 0.7


def test_file_is_tiled_jpeg_with_reduced_levels_in_the_chain(written):
    with tifffile.TiffFile(written[0]) as tiff:
        assert [page.subfiletype for page in tiff.pages] == [0, 1, 1]
        assert all(page.tile == (256, 256) and page.compression == 7 for page in tiff.pages)
        assert all(page.tags["ResolutionUnit"].value == 3 for page in tiff.pages)


def test_truth_is_the_drawn_labels(written, tmp_path):
    _, truth, drawn = written
    image = Image.open(truth)
    assert image.mode == "P"
    assert image.getpalette()[3:6] == [130, 0, 130]
    assert np.array_equal(np.asarray(image), drawn.labels)
    other = tmp_path / "truth.tiff"
    write_phantom_slide(tmp_path / "s.tif", seed=2, width_px=300, height_px=256, mpp=0.5, truth=other)
    expected = generate_phantom(2, 300, 256, 0.5, outline="island").labels
    assert np.array_equal(tifffile.imread(other), expected)


def test_nothing_else_is_left_in_the_folder(written):
    assert sorted(path.name for path in written[0].parent.iterdir()) == ["phantom.tiff", "truth.png"]


def test_halving_an_odd_picture_repeats_its_edge():
    odd = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3)
    result = halved(odd)
    assert result.shape == (3, 2, 3)
    assert result[2, 1].tolist() == odd[4, 2].tolist()
    assert result[0, 0, 0] == (0 + 3 + 9 + 12 + 2) // 4


@pytest.mark.parametrize(
    ("name", "truth", "what"),
    [
        ("slide.svs", None, "must end in"),
        ("no/such/slide.tiff", None, "folder does not exist"),
        ("slide.tiff", "truth.jpg", "must end in"),
        ("slide.tiff", "slide.tiff", "one name"),
    ],
)
def test_names_that_cannot_be_written_are_refused(tmp_path, name, truth, what):
    with pytest.raises(UsageError, match=what):
        write_phantom_slide(
            tmp_path / name,
            seed=0,
            width_px=256,
            height_px=256,
            truth=None if truth is None else tmp_path / truth,
        )
    assert not list(tmp_path.iterdir())
