from __future__ import annotations

import contextlib
import os
import shutil
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from contracts.slide_contract import SlideContract
from slide_files import halves, picture, write_tiff

from wsiseg.errors import SlideReadError, SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.slides import open_slide
from wsiseg.slides.tile_codecs import LOSSLESS, TileError, decode_jpeg2000, decode_lossless
from wsiseg.slides.tiled_tiff import TiledTiffSlide
from wsiseg.slides.tiles import TileCache


class TestLossless(SlideContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_tiff(tmp_path / "a.tiff", halves(picture(), 3), compression="deflate", predictor=True)

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return halves(picture(), 3)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("codec", ["none", "lzw", "deflate", "zstd", "packbits"])
def test_lossless_codecs(tmp_path: Path, codec: str, predictor: bool) -> None:
    path = write_tiff(
        tmp_path / "a.tiff", [picture()], compression=codec, predictor=predictor and codec != "none"
    )
    with open_slide(path) as slide:
        assert slide.backend == "tiff"
        np.testing.assert_array_equal(slide.read_region(0, slide.levels[0].region), picture())


class TestJpeg(SlideContract):
    @pytest.fixture(params=["rgb", "ycbcr", "ycbcr-420"])
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        photometric, _, subsampled = request.param.partition("-")
        return write_tiff(
            tmp_path / "a.svs.tiff",
            halves(picture(), 2),
            photometric=photometric,
            subsampling=(2, 2) if subsampled else (1, 1),
            compression="jpeg",
            compressionargs={"level": 90},
        )

    @pytest.fixture
    def truth(self, source: Path) -> list[np.ndarray]:
        with tifffile.TiffFile(source) as tiff:
            return [page.asarray() for page in tiff.pages]


class TestJpeg2000(SlideContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_tiff(tmp_path / "a.tiff", halves(picture(), 2), compression="aperio_jp2000_rgb")

    @pytest.fixture
    def truth(self, source: Path) -> list[np.ndarray]:
        with tifffile.TiffFile(source) as tiff:
            return [page.asarray() for page in tiff.pages]


class TestOmeTiffWithSubIfds(SlideContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_tiff(
            tmp_path / "a.ome.tiff", halves(picture(), 3), subifds=True, ome=True, compression="lzw"
        )

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return halves(picture(), 3)

    def test_vendor(self, slide: Any) -> None:
        assert (slide.vendor, slide.backend) == ("ome", "tiff")


@pytest.mark.parametrize(
    ("name", "levels"),
    [("CMU-1-Small-Region.svs", 1), ("CMU-1-wrong-mpp.jpeg.tiff", 1), ("tcga-jpeg2000-no-mpp.svs", 2)],
)
def test_equals_openslide_pixel_by_pixel(shared_data: Path, name: str, levels: int) -> None:
    path = shared_data / "slides" / name
    rng = np.random.default_rng(3)
    with open_slide(path) as direct, open_slide(path, backend="openslide") as reference:
        assert direct.backend == "tiff"
        assert direct.levels == reference.levels
        assert len(direct.levels) == levels
        assert direct.mpp == pytest.approx(reference.mpp)
        assert direct.objective_power == reference.objective_power
        assert direct.vendor == reference.vendor
        assert dict(direct.associated_images()) == dict(reference.associated_images())
        for index, level in enumerate(direct.levels):
            np.testing.assert_array_equal(
                direct.read_region(index, level.region), reference.read_region(index, level.region)
            )
        level0 = direct.levels[0]
        for _ in range(15):
            x, y = int(rng.integers(-400, level0.width_px)), int(rng.integers(-400, level0.height_px))
            region = Region(x, y, int(rng.integers(1, 600)), int(rng.integers(1, 600)))
            np.testing.assert_array_equal(direct.read_region(0, region), reference.read_region(0, region))


def _damaged(path: Path, tmp_path: Path, tile: int, how: str) -> tuple[Path, Region]:
    """Copy a TIFF, damage one tile of level 0, and return the copy and the tile's rectangle."""
    copy = tmp_path / f"{how}-{path.name}"
    shutil.copyfile(path, copy)
    copy.chmod(0o644)
    with tifffile.TiffFile(copy) as tiff:
        page = tiff.pages[0]
        offset, count = page.dataoffsets[tile], page.databytecounts[tile]
        width, height, columns = page.tilewidth, page.tilelength, -(-page.imagewidth // page.tilewidth)
        counts = page.tags["TileByteCounts"]
    half, rng = count // 2, np.random.default_rng(tile)
    data = bytearray(copy.read_bytes())
    if how == "zeros":
        data[offset + half : offset + half + 200] = bytes(200)
    elif how == "noise":
        data[offset + half : offset + half + 200] = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
    elif how == "early end":
        data[offset + half : offset + count] = b"\xff\xd9" + bytes(count - half - 2)
    elif how == "all zero":
        data[offset : offset + count] = bytes(count)
    elif how == "no data":
        size = struct.calcsize(tifffile.TIFF.DATA_FORMATS[counts.dtype])
        at = counts.valueoffset + tile * size
        data[at : at + size] = bytes(size)
    copy.write_bytes(data)
    row, column = divmod(tile, columns)
    return copy, Region(column * width, row * height, width, height)


JPEG_DAMAGE = ["zeros", "noise", "early end", "all zero", "no data"]


@pytest.mark.parametrize("how", JPEG_DAMAGE)
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "CMU-1-wrong-mpp.jpeg.tiff"])
def test_damaged_jpeg_tiles_are_unread_and_nothing_else_is(
    shared_data: Path, tmp_path: Path, name: str, how: str
) -> None:
    sound = shared_data / "slides" / name
    damaged, tile = _damaged(sound, tmp_path, 57 if "svs" in name else 41, how)
    with open_slide(sound) as good, open_slide(damaged) as bad:
        whole = bad.levels[0].region
        expected = good.read_region(0, whole)
        with pytest.raises(
            SlideReadError, match=r"level 0, x 0, y 0, 2220 x 2967 px: cannot be read: tile \d+"
        ):
            bad.read_region(0, whole)
        pixels, unread = bad.read_region_masked(0, whole)
        mask = np.zeros(whole.shape, bool)
        mask[tile.slices_in(whole)] = True
        np.testing.assert_array_equal(unread, mask)
        assert (pixels[mask] == bad.background).all()
        np.testing.assert_array_equal(pixels[~mask], expected[~mask])
        beside = Region(tile.right, tile.y, 100, 100)
        np.testing.assert_array_equal(bad.read_region(0, beside), good.read_region(0, beside))


@pytest.mark.parametrize("how", ["early end", "all zero", "no data"])
def test_damaged_jpeg_2000_tiles_are_unread(shared_data: Path, tmp_path: Path, how: str) -> None:
    damaged, tile = _damaged(shared_data / "slides" / "tcga-jpeg2000-no-mpp.svs", tmp_path, 100, how)
    with open_slide(damaged) as slide:
        region = tile.grow(20)
        with pytest.raises(SlideReadError, match="tile 100"):
            slide.read_region(0, region)
        assert slide.read_region_masked(0, region)[1].sum() == tile.area


@pytest.mark.parametrize("codec", ["lzw", "deflate", "zstd", None])
def test_a_file_that_ends_early(tmp_path: Path, codec: str | None) -> None:
    whole = write_tiff(tmp_path / "a.tiff", [picture()], compression=codec, tile=(128, 128))
    with tifffile.TiffFile(whole) as tiff:
        last = tiff.pages[0].dataoffsets[-1]
    data = whole.read_bytes()
    assert last > len(data) // 2
    (tmp_path / "b.tiff").write_bytes(data[: last + 20])
    with open_slide(tmp_path / "b.tiff") as slide:
        with pytest.raises(SlideReadError, match="the file ends within it"):
            slide.read_region(0, Region(690, 450, 5, 5))
        pixels, unread = slide.read_region_masked(0, slide.levels[0].region)
        assert unread[384:, 640:].all()
        assert unread.sum() == (460 - 384) * (700 - 640)
        np.testing.assert_array_equal(pixels[~unread], picture()[~unread])


def _replace_tile(path: Path, tile: int, data: bytes) -> None:
    """Append data to a TIFF and let one tile's offset and byte count point there."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
        offsets[tile], counts[tile] = path.stat().st_size, len(data)
        page.tags["TileOffsets"].overwrite(offsets)
        page.tags["TileByteCounts"].overwrite(counts)
        tiff.filehandle.seek(0, 2)
        appended = tiff.filehandle.tell()
        offsets[tile] = appended
        tiff.filehandle.write(data)
        page.tags["TileOffsets"].overwrite(offsets)


def test_a_tile_never_decides_how_much_memory_is_taken(tmp_path: Path) -> None:
    jpeg = write_tiff(tmp_path / "a.tiff", [picture()], compression="jpeg", tile=(128, 128))
    small = bytearray(simplejpeg.encode_jpeg(picture(64, 64)))
    at = small.index(b"\xff\xc0")
    struct.pack_into(">HH", small, at + 5, 60_000, 60_000)
    _replace_tile(jpeg, 3, bytes(small))
    deflate = write_tiff(tmp_path / "b.tiff", [picture()], compression="deflate", tile=(128, 128))
    _replace_tile(deflate, 3, zlib.compress(bytes(50_000_000), 9))
    for path, why in ((jpeg, "JPEG of 60000 x 60000 px, expected 128 x 128"), (deflate, "")):
        with open_slide(path) as slide:
            with pytest.raises(SlideReadError, match=f"tile 3 .*{why}"):
                slide.read_region(0, Region(390, 10, 20, 20))
            assert slide.read_region(0, Region(0, 0, 384, 128)).shape == (128, 384, 3)


@pytest.mark.parametrize(
    ("pixels", "options", "found"),
    [
        (np.zeros((300, 300, 3), np.uint16), {}, "16 bits"),
        (np.zeros((300, 300), np.uint8), {"photometric": "minisblack"}, "1 samples"),
        (np.zeros((3, 300, 300), np.uint8), {"planarconfig": "separate"}, "planar configuration 2"),
        (np.zeros((300, 300, 3), np.uint8), {"compression": "webp"}, "compression 50001"),
    ],
)
def test_what_it_does_not_read_is_refused(
    tmp_path: Path, pixels: np.ndarray, options: Any, found: str
) -> None:
    path = write_tiff(tmp_path / "a.tiff", [pixels], tile=(128, 128), **{"photometric": "rgb", **options})
    with pytest.raises(SlideRefusedError, match=found):
        TiledTiffSlide(path)


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [(0.25, "µm", 0.25), (250.0, "nm", 0.25), (2.5e-4, "mm", 0.25), (1.0, "pixel", None)],
)
def test_ome_units(tmp_path: Path, size: float, unit: str, expected: float | None) -> None:
    metadata = {"axes": "YXS", **{f"PhysicalSize{axis}": size for axis in "XY"}}
    metadata |= {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    path = tmp_path / "a.ome.tiff"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(128, 112), metadata=metadata)
    with TiledTiffSlide(path) as slide:
        assert slide.vendor == "ome"
        assert slide.mpp == (None if expected is None else pytest.approx((expected, expected)))


def test_channels_never_pass_for_brightfield(tmp_path: Path) -> None:
    """OpenSlide would show the first channel of each of these as a grey slide."""
    grey = picture()[..., 0]
    write_tiff(tmp_path / "grey.tiff", [grey], photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "channels.ome.tiff", ome=True) as tiff:
        stack = picture().transpose(2, 0, 1)
        tiff.write(stack, photometric="minisblack", tile=(128, 112), metadata={"axes": "CYX"})
    for name in ("grey.tiff", "channels.ome.tiff"):
        with pytest.raises(SlideRefusedError, match="1 samples of 8 bits: expected RGB"):
            open_slide(tmp_path / name)


def test_what_is_left_to_openslide(tmp_path: Path) -> None:
    """Planes, and RGB with alpha: libtiff knows them."""
    planes = picture().transpose(2, 0, 1)
    write_tiff(tmp_path / "planes.tiff", [planes], planarconfig="separate")
    with open_slide(tmp_path / "planes.tiff") as slide:
        assert slide.backend == "openslide"
        np.testing.assert_array_equal(slide.read_region(0, slide.levels[0].region), picture())


def test_offsets_beyond_any_file(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tiff", [picture()], bigtiff=True)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages[0].tags["TileOffsets"]
        tag.overwrite([2**64 - 1, 2**62, *tag.value[2:]])
    with open_slide(path) as slide:
        assert slide.read_region_masked(0, Region(0, 0, 224, 128))[1].all()
        assert not slide.read_region_masked(0, Region(224, 0, 224, 128))[1].any()


@pytest.mark.parametrize(
    "text",
    [
        "Aperio |" + " " * 300_000,
        "Aperio " + "|" * 300_000,
        '<?xml version="1.0"?><OME ' + "<Pixels " * 60_000,
        '<?xml version="1.0"?><OME ' + "<Objective " + "a" * 300_000,
    ],
    ids=["spaces", "bars", "elements", "a word"],
)
def test_descriptions_that_would_keep_a_pattern_busy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(128, 112), description=text, metadata=None)
    start = time.perf_counter()
    with contextlib.suppress(SlideRefusedError):
        TiledTiffSlide(path).close()
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("codec", ["lzw", "zlib", "packbits", "zstd"])
def test_data_of_another_length_than_the_tile_are_damaged(codec: str) -> None:
    compression = next(tag for tag, name in LOSSLESS.items() if name == codec)
    rgb = picture(64, 48)
    encode = getattr(imagecodecs, f"{codec}_encode")
    whole = encode(rgb.tobytes())
    np.testing.assert_array_equal(decode_lossless(whole, 64, 48, compression, horizontal=False), rgb)
    for data in (rgb.tobytes()[:-1], rgb.tobytes() + b"0", rgb.tobytes() + bytes(500)):
        with pytest.raises(TileError):
            decode_lossless(encode(data), 64, 48, compression, horizontal=False)


def test_jpeg_2000_of_more_bits_than_there_can_be_is_damaged() -> None:
    rgb = picture(128, 128)
    data = imagecodecs.jpeg2k_encode(rgb, codecformat="j2k", reversible=True, level=0)
    np.testing.assert_array_equal(decode_jpeg2000(data, 128, 128), rgb)
    exponents = data.index(b"\xff\x5c") + 5
    for place in (exponents, exponents + 3):
        damaged = bytearray(data)
        damaged[place] = 31 << 3
        with pytest.raises(TileError, match="31 bits in a subband"):
            decode_jpeg2000(bytes(damaged), 128, 128)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_headers_never_crash(tmp_path: Path, seed: int) -> None:
    """Random bytes in the header area: the file is refused, or opens and reads or fails as a slide does."""
    path = write_tiff(tmp_path / "a.tiff", halves(picture(), 2), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[seed % 2].offset
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(start, min(start + 300, len(data)), 6):
        data[at] = int(rng.integers(256))
    path.write_bytes(data)
    try:
        slide = TiledTiffSlide(path)
    except SlideRefusedError:
        return
    with slide:
        pixels, unread = slide.read_region_masked(0, Region(-10, -10, 400, 300))
        assert pixels.shape == (300, 400, 3)
        assert (pixels[unread] == slide.background).all()


def test_the_first_directory_must_be_the_largest(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tiff", halves(picture(), 2)[::-1])
    with TiledTiffSlide(path) as slide:
        assert len(slide.levels) == 1
        assert "700 x 460" in slide.warnings[0]


def test_cache_keeps_its_bound_and_the_latest() -> None:
    cache, decoded = TileCache(limit=10 * 300), []

    def tile(index: int) -> np.ndarray:
        decoded.append(index)
        return np.full((10, 10, 3), index, np.uint8)

    for index in (*range(10), 0, 10):  # the eleventh drops the least recently used: 1
        cache.get(index, lambda index=index: tile(index))
        assert cache.bytes <= 3000
    for index in (0, 2, 10, 1):
        np.testing.assert_array_equal(cache.get(index, lambda index=index: tile(index)), index)
    assert decoded == [*range(11), 1]


def test_halo_reads_do_not_decode_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "a.tiff", [picture()], tile=(128, 128))
    decoded: list[int] = []
    original = TiledTiffSlide._decode_data

    def counting(self: TiledTiffSlide, file: Any, level: Any, index: int, *rest: Any) -> Any:
        decoded.append(index)
        return original(self, file, level, index, *rest)

    monkeypatch.setattr(TiledTiffSlide, "_decode_data", counting)
    with TiledTiffSlide(path) as slide:
        for x in range(0, 700, 50):
            slide.read_region(0, Region(x - 30, 0, 110, 100))
    assert sorted(decoded) == list(range(6))


def test_a_handle_that_went_bad_is_replaced_for_the_tile_that_failed(tmp_path):
    path = tmp_path / "s.tif"
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    tifffile.imwrite(path, rgb, tile=(32, 32), photometric="rgb")
    with TiledTiffSlide(path) as slide:
        stale = os.open(os.devnull, os.O_RDONLY)
        os.dup2(stale, slide._file.descriptor)  # what a share that went away and came back leaves behind
        os.close(stale)
        np.testing.assert_array_equal(slide.read_region(0, Region(0, 0, 64, 64)), rgb)


@pytest.mark.parametrize(
    ("code", "value", "said"),
    [
        (322, 1, "tile offsets"),  # tiles of one pixel's width
        (257, 1, "tile offsets"),  # a slide of one row
        (323, 2**31 - 1, "sensible sizes"),  # OpenSlide's allocation for such a tile ends the process
        (262, 1, "photometric 1 with 3 samples"),
    ],
)
def test_tags_that_contradict_each_other_never_reach_another_decoder(tmp_path, code, value, said):
    path = write_tiff(tmp_path / "a.tif", [picture()], compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags[code]
        kind = {3: "H", 4: "I"}[int(tag.dtype)]
        place = tag.valueoffset
    content = bytearray(path.read_bytes())
    if kind == "H" and value > 65_535:  # a SHORT in a field of four bytes: make it a LONG
        struct.pack_into("<H", content, place - 6, 4)
        kind = "I"
    struct.pack_into("<" + kind, content, place, value)
    path.write_bytes(content)
    with pytest.raises(SlideRefusedError, match=said):
        open_slide(path)
