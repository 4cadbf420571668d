"""PNGs by rows hold what a decoder of whole pictures sees; damaged ones are refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from wsiseg.errors import SlideRefusedError
from wsiseg.slides import png_rows as module
from wsiseg.slides.array import ArraySlide
from wsiseg.slides.png_rows import as_rgb, decode_to_scratch, png_rows, read_png_header


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 20_000)


def drawn(mode, rows=301, columns=207):
    """A picture for which encoders take different filters from row to row."""
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(-3, 4, (rows, columns, 3)), axis=1)
    smooth[rows // 2 :] = np.cumsum(rng.integers(-3, 4, (rows - rows // 2, columns, 3)), axis=0)
    return Image.fromarray(smooth.astype(np.uint8)).convert(mode)


def filters(path):
    """The filter byte of each row."""
    data, place = path.read_bytes(), 8
    packed = b""
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += length + 12
    header = read_png_header(path)
    return set(zlib.decompress(packed)[:: header.width_px * header.channels + 1])


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_rows_are_those_of_the_whole_picture(tmp_path, mode):
    image = drawn(mode)
    image.save(tmp_path / "a.png")
    blocks = list(png_rows(tmp_path / "a.png"))
    assert len(blocks) > 1
    assert [top for top, _ in blocks] == list(np.cumsum([0, *(len(block) for _, block in blocks[:-1])]))
    whole = np.concatenate([block for _, block in blocks])
    assert np.array_equal(whole, np.asarray(image).reshape(whole.shape))
    if mode == "RGB":
        assert len(filters(tmp_path / "a.png")) > 1


def test_pixels_split_over_many_chunks(tmp_path):
    """An encoder may cut the stream anywhere, also into empty chunks."""
    image = drawn("RGB")
    image.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"IDAT") - 4
    packed, place = b"", start
    while data[place + 4 : place + 8] == b"IDAT":
        (length,) = struct.unpack(">I", data[place : place + 4])
        packed += data[place + 8 : place + 8 + length]
        place += length + 12
    parts = [b"", *(packed[at : at + 777] for at in range(0, len(packed), 777)), b""]
    chunks = b"".join(
        struct.pack(">I", len(part)) + b"IDAT" + part + struct.pack(">I", zlib.crc32(b"IDAT" + part))
        for part in parts
    )
    (tmp_path / "b.png").write_bytes(data[:start] + chunks + data[place:])
    found = np.concatenate([block for _, block in png_rows(tmp_path / "b.png")])
    assert np.array_equal(found, np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_scratch_rows_serve_as_a_slide(tmp_path, mode):
    image = drawn(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(np.full((301, 207), 51, np.uint8)))
    image.save(tmp_path / "a.png")
    found = decode_to_scratch(tmp_path / "a.png", tmp_path / "rows", as_rgb)
    assert found.shape == (301, 207, 3)
    expected = np.asarray(image.convert("RGB"))
    if mode == "RGBA":
        expected = (expected.astype(int) * 51 + 255 * 204 + 127) // 255
    assert np.array_equal(found[10:300, 5:9], expected[10:300, 5:9])
    assert ArraySlide(found).levels[0].width_px == 207


def test_damaged_files_are_refused(tmp_path):
    drawn("RGB").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    middle = len(data) // 2
    damaged = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "tail": data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        "header": data[:20] + b"\xff" + data[21:],
        "jpeg": b"\xff\xd8\xff\xe0" + data,
        "nothing": b"",
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(SlideRefusedError, match=name):
            list(png_rows(path))
    with pytest.raises(SlideRefusedError, match="cannot be opened"):
        read_png_header(tmp_path / "absent.png")


def test_other_kinds_of_png_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(SlideRefusedError, match="16 bits per channel"):
        read_png_header(tmp_path / "a.png")
    drawn("1").save(tmp_path / "a.png")
    with pytest.raises(SlideRefusedError, match="1 bits per channel"):
        read_png_header(tmp_path / "a.png")
    drawn("RGB").save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[28] = 1
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SlideRefusedError, match="interlaced"):
        read_png_header(tmp_path / "a.png")
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SlideRefusedError, match="at most 4000 megapixels"):
        read_png_header(tmp_path / "a.png")
    data[16:20] = b"\x7f\xff\xff\xff"
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SlideRefusedError, match="expected 1 to 1,000,000"):
        read_png_header(tmp_path / "a.png")
