from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import tifffile
from contracts.slide_contract import SlideContract
from PIL import Image
from slide_files import picture

from wsiseg.errors import InputRefusedError, SlideReadError, SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.slides import ArraySlide, open_slide
from wsiseg.slides.image import ImageSlide


class TestPng(SlideContract):
    mpp = None

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        Image.fromarray(picture()).save(tmp_path / "a.png", dpi=(300, 300))
        return tmp_path / "a.png"

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return [picture()]


class TestJpegPicture(SlideContract):
    mpp = None

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        (tmp_path / "a.jpg").write_bytes(simplejpeg.encode_jpeg(picture(), quality=90))
        return tmp_path / "a.jpg"

    @pytest.fixture
    def truth(self, source: Path) -> list[np.ndarray]:
        return [np.asarray(Image.open(source))]


class TestUntiledTiff(SlideContract):
    @pytest.fixture(params=[None, "lzw", "jpeg"])
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        tifffile.imwrite(
            tmp_path / "a.tif",
            picture(),
            photometric="rgb",
            compression=request.param,
            resolution=(20_000, 20_000),
            resolutionunit="CENTIMETER",
        )
        return tmp_path / "a.tif"

    @pytest.fixture
    def truth(self, source: Path) -> list[np.ndarray]:
        return [tifffile.imread(source)]


class TestArray(SlideContract):
    mpp = None

    @pytest.fixture
    def source(self) -> np.ndarray:
        return picture()

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return [picture()]


class Lazy:
    """Slices like an array and remembers what was asked for."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.asked = data, data.shape, data.dtype, []

    def __getitem__(self, key: Any) -> np.ndarray:
        self.asked.append(key)
        if key[0].start >= 300:
            raise OSError("a disk that fails")
        found: np.ndarray = self.data[key]
        return found


def test_array_likes_are_read_lazily() -> None:
    lazy = Lazy(picture())
    with ArraySlide(lazy, name="lazy", mpp=(0.5, 0.6)) as slide:
        assert lazy.asked == []
        assert slide.mpp == (0.5, 0.6)
        np.testing.assert_array_equal(
            slide.read_region(0, Region(-5, 10, 20, 30))[:, 5:], picture()[10:40, :15]
        )
        assert lazy.asked == [(slice(10, 40), slice(0, 15))]
        with pytest.raises(SlideReadError, match="a disk that fails"):
            slide.read_region(0, Region(0, 300, 5, 5))
        assert slide.read_region_masked(0, Region(0, 300, 5, 5))[1].all()


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3), (4, 4, 3, 1)])
def test_arrays_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputRefusedError, match=r"expected \(rows, columns, 3\)"):
        open_slide(np.zeros(shape, np.uint8))
    with pytest.raises(InputRefusedError, match="float64"):
        open_slide(np.zeros((4, 4, 3)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_png_modes(tmp_path: Path, mode: str) -> None:
    rgba = Image.fromarray(
        np.dstack([picture(60, 40), np.linspace(0, 255, 2400).reshape(40, 60).astype(np.uint8)])
    )
    image = rgba.convert(mode) if mode in ("RGBA", "LA") else rgba.convert("RGB").convert(mode)
    image.save(tmp_path / "a.png")
    expected = np.asarray(image.convert("RGBA")).astype(float)
    opacity = expected[..., 3:] / 255
    expected = expected[..., :3] * opacity + 255 * (1 - opacity)
    with open_slide(tmp_path / "a.png") as slide:
        np.testing.assert_allclose(slide.read_region(0, slide.levels[0].region), expected, atol=0.51)
        assert bool(slide.warnings) == (mode in ("L", "LA", "1"))


def test_pictures_of_other_kinds_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "a.png")
    Image.new("CMYK", (9, 9)).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9, 3), np.uint16), photometric="rgb")
    for name, found in (("a.png", "16 bits"), ("a.jpg", "CMYK"), ("a.tif", "16 bits")):
        with pytest.raises(SlideRefusedError, match=found):
            ImageSlide(tmp_path / name)
        with pytest.raises(SlideRefusedError):
            open_slide(tmp_path / name)


def _png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_bombs_are_refused_by_their_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(60_000, 60_000, zlib.compress(bytes(1000))))
    jpeg = bytearray(simplejpeg.encode_jpeg(picture(64, 64)))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 60_000, 60_000)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    tifffile.imwrite(tmp_path / "a.tif", picture(64, 64), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[tag].overwrite(60_000)
    for name in ("a.png", "a.jpg", "a.tif"):
        with pytest.raises(SlideRefusedError, match=r"60000 x 60000 px.*at most 400 megapixels"):
            open_slide(tmp_path / name)


def test_damaged_pictures_are_unread_as_a_whole(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "a.jpg").write_bytes(simplejpeg.encode_jpeg(picture()))
    tifffile.imwrite(tmp_path / "a.tif", picture(), photometric="rgb", compression="deflate")
    for name in ("a.png", "a.jpg", "a.tif"):
        data = (tmp_path / name).read_bytes()
        start = 40 if name == "a.tif" else len(data) // 2  # a TIFF of this writer has its header first
        damaged = data[:start] + bytes(200) + data[start + 200 :]
        if name == "a.tif":
            with tifffile.TiffFile(tmp_path / name) as tiff:
                at = tiff.pages[0].dataoffsets[0]
            damaged = data[: at + 50] + bytes(200) + data[at + 250 :]
        (tmp_path / name).write_bytes(damaged)
        with open_slide(tmp_path / name) as slide:
            for _ in range(2):
                with pytest.raises(SlideReadError, match="cannot be read"):
                    slide.read_region(0, Region(0, 0, 5, 5))
            pixels, unread = slide.read_region_masked(0, Region(-10, 0, 600, 300))
            assert unread[:, 10:].all()
            assert not unread[:, :10].any()
            assert (pixels == 255).all()


def test_a_picture_is_decoded_once_and_not_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    decoded = []
    original = ImageSlide._decode

    def counting(self: ImageSlide) -> np.ndarray:
        decoded.append(self.name)
        return original(self)

    monkeypatch.setattr(ImageSlide, "_decode", counting)
    with open_slide(tmp_path / "a.png") as slide:
        assert decoded == []
        for x in range(5):
            slide.read_region(0, Region(x, 0, 5, 5))
    assert decoded == ["a.png"]
