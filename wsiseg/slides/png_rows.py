"""PNGs of any size in bounded memory: blocks of rows, and a scratch file of raw rows to cut rectangles from.

libpng as the libraries here expose it decodes a picture whole. So the compressed stream is cut at row
bounds, and each block of still filtered rows is wrapped as a small PNG of its own, with the row above it in
front: filters look no further back. Format: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsiseg.errors import SlideRefusedError
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import one_line
from wsiseg.slides.image import PNG_SIGNATURE

BLOCK_BYTES = 16_000_000
"""Decoded bytes of a block of rows."""
LONGEST_SIDE_PX = 1_000_000
LARGEST_PX = 4_000_000_000
"""Thirty of the largest published breast regions; decoded, 12 GB on the disk."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_READ_BYTES = 1 << 20
_LARGEST_CHUNK = 2**31 - 1

Samples = NDArray[np.uint8]
"""(rows, columns, channels) uint8 as stored: grey, palette indices, RGB, either with an alpha channel."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What a PNG says about itself."""

    width_px: int
    height_px: int
    colour_type: int
    palette: Samples | None
    """(1, colours, 3) where the samples are indices."""

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return _CHANNELS[self.colour_type]


def read_png_header(path: Path) -> PngHeader:
    """Return the header of a PNG of 8 bits, not interlaced. Raises SlideRefusedError for others."""
    with _opened(path) as file:
        return _read_header(file, path)


def png_rows(path: Path) -> Iterator[tuple[int, Samples]]:
    """Yield (first row, samples) from the top down. Raises SlideRefusedError where the file is damaged."""
    with _opened(path) as file:
        header = _read_header(file, path)
        line = header.width_px * header.channels
        count = max(1, BLOCK_BYTES // line)
        above = bytes(line)
        stream = _Stream(file, path)
        for top in range(0, header.height_px, count):
            rows = min(count, header.height_px - top)
            filtered = stream.take(rows * (line + 1))
            block = _decode(header, rows + 1, b"\0" + above + filtered, path)[1:]
            above = block[-1].tobytes()
            yield top, block
        stream.finish()


def as_rgb(header: PngHeader, samples: Samples) -> Samples:
    """Return (rows, columns, 3) uint8: grey three times, palettes looked up, transparent over white."""
    if header.palette is not None:
        return np.asarray(header.palette[0][np.minimum(samples[..., 0], header.palette.shape[1] - 1)])
    colour = samples
    if header.channels in (2, 4):
        colour, alpha = samples[..., :-1], samples[..., -1:].astype(np.uint32)
        if not (alpha == 255).all():
            colour = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour


class ScratchRows:
    """An array (rows, columns, channels) uint8 in a file: slices are read, and nothing stays in memory."""

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.path = path
        self.shape = shape

    def __getitem__(self, at: Any) -> NDArray[np.uint8]:
        # Mapped for this read alone: pages that stay mapped would count as memory of the process.
        return np.array(np.memmap(self.path, np.uint8, "r", shape=self.shape)[at])


def decode_to_scratch(
    path: Path, scratch: Path, convert: Callable[[PngHeader, Samples], Samples]
) -> ScratchRows:
    """Decode a PNG once into a raw file; `convert` maps each block of rows, (rows, columns, any channels)."""
    header = read_png_header(path)
    channels = 0
    with scratch.open("wb") as file:
        for _, block in png_rows(path):
            converted = np.ascontiguousarray(convert(header, block))
            channels = converted.shape[2]
            file.write(converted.data)
    return ScratchRows(scratch, (header.height_px, header.width_px, channels))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        blame_no_input(error)
        raise SlideRefusedError(f"{path}: cannot be opened: {error.strerror}") from error


def _read_header(file: BinaryIO, path: Path) -> PngHeader:
    """Read up to the first chunk of pixels, whose length and kind are left unread."""
    if file.read(8) != PNG_SIGNATURE:
        raise SlideRefusedError(f"{path}: is no PNG: expected one of 8 bits per channel")
    kind, data = _chunk(file, path)
    if kind != b"IHDR" or len(data) != 13:
        raise SlideRefusedError(f"{path}: a PNG without a header: the file is damaged")
    width, height, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", data)
    if not 0 < width <= LONGEST_SIDE_PX or not 0 < height <= LONGEST_SIDE_PX:
        raise SlideRefusedError(f"{path}: {width} x {height} px: expected 1 to {LONGEST_SIDE_PX:,} px a side")
    if width * height > LARGEST_PX:
        raise SlideRefusedError(
            f"{path}: {width} x {height} px: expected at most {LARGEST_PX // 10**6} megapixels; "
            "cut it into pieces"
        )
    if bits != 8 or colour_type not in _CHANNELS or interlaced:
        found = "interlaced" if interlaced else f"{bits} bits per channel"
        raise SlideRefusedError(
            f"{path}: a PNG, {found}: expected 8 bits per channel, not interlaced; save it so"
        )
    palette = None
    while True:
        before = file.tell()
        kind, data = _chunk(file, path, but=b"IDAT")
        if kind == b"IDAT":
            file.seek(before)
            break
        if kind == b"IEND":
            raise SlideRefusedError(f"{path}: a PNG without pixels: the file is damaged")
        if kind == b"PLTE" and colour_type == 3 and data and len(data) % 3 == 0:
            palette = np.frombuffer(data, np.uint8).reshape(1, -1, 3)
    if colour_type == 3 and palette is None:
        raise SlideRefusedError(f"{path}: a PNG of palette indices without its palette: the file is damaged")
    return PngHeader(width, height, colour_type, palette)


def _chunk(file: BinaryIO, path: Path, but: bytes = b"") -> tuple[bytes, bytes]:
    """Return kind and data of the next chunk; of the kind `but` and of long other ones, no data."""
    head = file.read(8)
    if len(head) < 8:
        raise SlideRefusedError(f"{path}: the PNG ends too early: the file is damaged")
    length, kind = struct.unpack(">I4s", head)
    if length > _LARGEST_CHUNK:
        raise SlideRefusedError(f"{path}: a PNG chunk of {length} bytes: the file is damaged")
    if kind == but:
        return kind, b""
    if length > _READ_BYTES:  # profiles and comments, of no use here
        file.seek(length + 4, io.SEEK_CUR)
        return kind, b""
    data, check = file.read(length), file.read(4)
    if zlib.crc32(kind + data).to_bytes(4, "big") != check:
        raise SlideRefusedError(f"{path}: a PNG chunk fails its checksum: the file is damaged")
    return kind, data


class _Stream:
    """The decompressed bytes of the IDAT chunks, in order."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._inflate = zlib.decompressobj()
        self._left = 0
        """Bytes of the current chunk that are not read yet."""
        self._check = 0
        self._started = False

    def take(self, count: int) -> bytes:
        """Return exactly so many bytes."""
        parts, missing = [], count
        while missing:
            packed = self._inflate.unconsumed_tail or self._packed()
            try:
                part = self._inflate.decompress(packed, missing)
            except zlib.error as error:
                raise self._damaged(one_line(error)) from error
            if not part and self._inflate.eof:
                raise self._damaged("it ends too early")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Check the end of the stream, whose checksums stand there."""
        try:
            while not self._inflate.eof:
                self._inflate.decompress(self._inflate.unconsumed_tail or self._packed(), _READ_BYTES)
        except zlib.error as error:
            raise self._damaged(one_line(error)) from error
        while self._left:
            self._packed()
        self._verify()

    def _packed(self) -> bytes:
        while not self._left:
            if self._started:
                self._verify()
            head = self._file.read(8)
            if len(head) < 8 or head[4:] != b"IDAT":
                raise self._damaged("it ends too early")
            self._left, self._check, self._started = (
                struct.unpack(">I", head[:4])[0],
                zlib.crc32(b"IDAT"),
                True,
            )
        data = self._file.read(min(self._left, _READ_BYTES))
        if not data:
            raise self._damaged("it ends too early")
        self._left -= len(data)
        self._check = zlib.crc32(data, self._check)
        return data

    def _verify(self) -> None:
        if self._file.read(4) != self._check.to_bytes(4, "big"):
            raise self._damaged("a chunk fails its checksum")

    def _damaged(self, why: str) -> SlideRefusedError:
        return SlideRefusedError(f"{self._path}: the PNG's pixels cannot be read: {why}: get the file again")


def _decode(header: PngHeader, rows: int, filtered: bytes, path: Path) -> Samples:
    """Undo the filters of (rows) lines, each a filter byte and its samples."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", header.width_px, rows, 8, header.colour_type, 0, 0, 0)
    palette = b"" if header.palette is None else chunk(b"PLTE", header.palette.tobytes())
    pixels = chunk(b"IDAT", zlib.compress(filtered, 0))
    small = PNG_SIGNATURE + chunk(b"IHDR", size) + palette + pixels + chunk(b"IEND", b"")
    try:
        with Image.open(io.BytesIO(small), formats=("PNG",)) as image:
            samples = np.asarray(image)
    except Exception as error:  # a filter byte that is none
        raise SlideRefusedError(f"{path}: the PNG's pixels cannot be read: {one_line(error)}") from error
    return samples.reshape(rows, header.width_px, header.channels)
