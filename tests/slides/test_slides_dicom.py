from __future__ import annotations

import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import simplejpeg
from slide_files import picture

from wsiseg.errors import SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.slides import open_slide, slide_id
from wsiseg.slides.dicom_files import colours_by_glass, colours_by_markers
from wsiseg.slides.tile_codecs import complete_jpeg

HONEST, LYING, SVS = "CMU-1-Small-Region-dicom", "CMU-1-dicom-colour-lies", "CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> np.ndarray:
    with open_slide(shared_data / "slides" / SVS) as slide:
        return slide.read_region(0, slide.levels[0].region).astype(np.int16)


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    target.chmod(0o755)
    for file in target.iterdir():
        file.chmod(0o644)
    return target


def _set(folder: Path, **values: str) -> Path:
    for file in folder.iterdir():
        data = pydicom.dcmread(file)
        for key, value in values.items():
            setattr(data, key, value)
        data.save_as(file)
    return folder


def test_an_honest_series(shared_data: Path, truth: np.ndarray) -> None:
    folder = shared_data / "slides" / HONEST
    with open_slide(folder) as slide:
        assert (slide.backend, slide.vendor, slide.name, slide.warnings) == ("dicom", "dicom", HONEST, ())
        assert slide.mpp == pytest.approx((0.499, 0.499))
        assert set(slide.associated_images()) == {"label", "macro", "thumbnail"}
        assert np.abs(slide.read_region(0, slide.levels[0].region) - truth).mean() < 4


def test_a_header_that_lies_about_colours(shared_data: Path, truth: np.ndarray) -> None:
    folder = shared_data / "slides" / LYING
    with open_slide(folder) as slide:
        assert [level.downsample for level in slide.levels] == [2.0**i for i in range(12)]
        assert slide.warnings == (
            "the DICOM header says RGB, but the JPEG frames of 12 of 12 levels are YCbCr: converted",
        )
        whole = slide.read_region(0, slide.levels[0].region)
        assert np.abs(whole - truth).mean() < 4
        half = slide.read_region(1, slide.levels[1].region)
        coarse = truth[:2960, :2200].reshape(148, 20, 110, 20, 3).mean(axis=(1, 3))
        assert np.abs(half[:1480, :1100].reshape(148, 10, 110, 10, 3).mean(axis=(1, 3)) - coarse).mean() < 2
        # Beyond the level nothing is converted.
        assert (slide.read_region(0, Region(2220, 0, 9, 9)) == 255).all()
        assert (slide.read_region(0, Region(2000, 2900, 400, 200))[70:, 225:] == 255).all()


def test_any_member_opens_the_series(shared_data: Path) -> None:
    for name in (HONEST, LYING):
        folder = shared_data / "slides" / name
        with open_slide(folder) as whole:
            expected = whole.read_region(0, Region(500, 500, 64, 64))
        for member in sorted(folder.iterdir())[:4]:
            assert slide_id(member) == name == slide_id(folder)
            with open_slide(member) as slide:
                assert slide.name == name
                np.testing.assert_array_equal(slide.read_region(0, Region(500, 500, 64, 64)), expected)
                with slide.reopen() as again:
                    assert (again.source, again.warnings) == (slide.source, slide.warnings)


def test_the_colour_check_cannot_be_passed_by(shared_data: Path) -> None:
    folder = shared_data / "slides" / LYING
    for source in (folder, folder / "level-3-frames-0-1.dcm"):
        with open_slide(source, backend="openslide") as slide:
            assert slide.backend == "dicom"
            assert slide.warnings


def test_an_honest_file_made_to_lie_is_put_right(
    shared_data: Path, tmp_path: Path, truth: np.ndarray
) -> None:
    folder = _copy(shared_data / "slides" / HONEST, tmp_path / "lying")
    _set(folder, PhotometricInterpretation="RGB")
    with open_slide(folder) as slide:
        assert "converted" in slide.warnings[0]
        assert np.abs(slide.read_region(0, slide.levels[0].region) - truth).mean() < 4


def test_two_series_in_one_folder_are_named(shared_data: Path, tmp_path: Path) -> None:
    folder = _copy(shared_data / "slides" / HONEST, tmp_path / "two")
    other = _copy(shared_data / "slides" / LYING, tmp_path / "other")
    for file in other.iterdir():
        shutil.move(file, folder / file.name)
    with pytest.raises(SlideRefusedError, match=r"two: 2 DICOM series, .*level-0-frames-0-30\.dcm"):
        open_slide(folder)
    with open_slide(folder / "level-2-frames-0-4.dcm") as slide:
        assert len(slide.levels) == 12


def test_dicom_that_is_no_slide(shared_data: Path, tmp_path: Path) -> None:
    folder = _copy(shared_data / "slides" / HONEST, tmp_path / "seg")
    _set(folder, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    with pytest.raises(SlideRefusedError, match="no DICOM whole-slide images"):
        open_slide(folder)
    with pytest.raises(SlideRefusedError, match="no whole-slide image"):
        open_slide(min(folder.iterdir()))
    only_label = tmp_path / "label"
    only_label.mkdir()
    for file in (shared_data / "slides" / HONEST).iterdir():
        if pydicom.dcmread(file, stop_before_pixels=True).ImageType[2] == "LABEL":
            shutil.copyfile(file, only_label / file.name)
    with pytest.raises(SlideRefusedError, match="without a VOLUME image"):
        open_slide(only_label)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_dicom_is_refused_or_read(shared_data: Path, tmp_path: Path, seed: int) -> None:
    source = shared_data / "slides" / LYING / "level-2-frames-0-4.dcm"
    data = bytearray(source.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(132, 1600, 8):
        data[at] = int(rng.integers(256))
    (tmp_path / "a.dcm").write_bytes(data)
    try:
        slide = open_slide(tmp_path / "a.dcm")
    except SlideRefusedError:
        return
    with slide:
        pixels, unread = slide.read_region_masked(0, Region(0, 0, 90, 80))
        assert pixels.shape == (*unread.shape, 3)


def _glassy(seed: int = 0) -> np.ndarray:
    pixels = picture(64, 64, seed)
    pixels[:16] = (243, 242, 244)
    return pixels


def _markerless(pixels: np.ndarray, subsampling: str = "444") -> bytes:
    """A YCbCr JPEG without a JFIF or Adobe marker, as some scanners write them."""
    data = simplejpeg.encode_jpeg(pixels, quality=95, colorsubsampling=subsampling)
    assert data[2:4] == b"\xff\xe0"
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]


def test_markers() -> None:
    pixels = _glassy()
    jfif = simplejpeg.encode_jpeg(pixels, colorsubsampling="444")
    assert colours_by_markers(jfif) == "YCbCr"
    bare = _markerless(pixels)
    assert colours_by_markers(bare) is None
    assert colours_by_markers(_markerless(pixels, "420")) == "YCbCr"
    assert colours_by_markers(complete_jpeg(bare, None, 2)) == "RGB"
    assert colours_by_markers(complete_jpeg(bare, None, 6)) == "YCbCr"
    named = bytearray(bare)
    at = named.index(b"\xff\xc0")
    named[at + 10], named[at + 13], named[at + 16] = b"RGB"
    assert colours_by_markers(bytes(named)) == "RGB"
    for broken in (b"", b"\xff\xd8", bare[:40], b"nothing at all"):
        assert colours_by_markers(broken) is None


def test_glass_tells_where_markers_do_not() -> None:
    assert colours_by_glass(_markerless(_glassy())) == "YCbCr"
    dark = np.full((64, 64, 3), (120, 60, 140), np.uint8)
    assert colours_by_glass(_markerless(dark)) is None
    assert colours_by_glass(b"\xff\xd8nothing") is None
    raw = imagecodecs.jpeg8_encode(_glassy(), level=95, colorspace="RGB", outcolorspace="RGB")
    assert colours_by_glass(raw) == "RGB"
