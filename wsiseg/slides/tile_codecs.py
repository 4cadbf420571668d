"""Decode one tile of a TIFF to RGB, and refuse data that only decode with a warning.

Return (rows, columns, 3) uint8; raise TileError with the reason. A tile's own header never decides
how much memory is taken: its size must be the one that the TIFF says.
"""

from __future__ import annotations

import struct

import numpy as np

from wsiseg.slides.slide import RGB

JPEG = 7
JPEG2000_RGB = 33005
"""Aperio's compression tag; 33003, its YCbCr sibling with its own sub-sampling, is left to OpenSlide."""
LOSSLESS = {1: "none", 5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits", 34926: "zstd", 50000: "zstd"}
"""TIFF compression tag: name of the codec in imagecodecs."""
SUPPORTED = (JPEG, JPEG2000_RGB, *LOSSLESS)
PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR = 2, 6

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
_SOT, _QCD = b"\xff\x90", 0xFF5C
MOST_BITS = 12
"""Of a subband of 8-bit samples: two for the gain of the wavelet, one for the colours, one to spare."""
_APP0, _APP14, _SOS = 0xE0, 0xEE, 0xDA
_STANDALONE = {0x01, *range(0xD0, 0xD9)}


class TileError(Exception):
    """A tile whose data are missing, damaged or of an unexpected kind."""


def complete_jpeg(tile: bytes, tables: bytes | None, photometric: int) -> bytes:
    """Return a JPEG file made from an abbreviated tile and its tables (TIFF Technical Note 2).

    The TIFF's photometric decides about the colours, as in libtiff and OpenSlide: markers of the tile
    that would say something else (JFIF, Adobe) are replaced by an Adobe marker that says the same.
    """
    transform = 0 if photometric == PHOTOMETRIC_RGB else 1
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    return SOI + adobe + (_header_segments(tables, "JPEG tables") if tables else b"") + _tile_body(tile)


def _tile_body(tile: bytes) -> bytes:
    start = _scan_start(tile)
    return _keep(tile, start) + tile[start:]


def _header_segments(data: bytes, what: str) -> bytes:
    if not data.startswith(SOI) or not data.endswith(EOI):
        raise TileError(f"{what} without start or end marker")
    return _keep(data, len(data) - 2)


def jpeg_segments(data: bytes, end: int) -> list[tuple[int, int, int]]:
    """Return (marker, start, stop) of the segments between the start marker and `end`."""
    if not data.startswith(SOI):
        raise TileError("no JPEG start marker")
    found, at = [], 2
    while at < end:
        if at + 4 > len(data) or data[at] != 0xFF:
            raise TileError("damaged JPEG header")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        stop = at + 2 if marker in _STANDALONE else at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        found.append((marker, at, stop))
        at = stop
        if marker == _SOS:
            break
    return found


def _scan_start(data: bytes) -> int:
    segments = jpeg_segments(data, len(data))
    if not segments or segments[-1][0] != _SOS:
        raise TileError("no JPEG scan")
    return segments[-1][1]


def _keep(data: bytes, end: int) -> bytes:
    return b"".join(
        data[start:stop]
        for marker, start, stop in jpeg_segments(data, end)
        if marker not in (_APP0, _APP14, _SOS)
    )


REDUCTIONS = (2, 4, 8)
"""By which a JPEG can be shrunk while it is decoded: the blocks of 8 x 8 px take fewer coefficients."""


def decode_jpeg(data: bytes, width: int, height: int, by: int = 1) -> RGB:
    """Decode a whole JPEG file of width x height px; premature ends and corrupt data are errors.

    `by` is one of REDUCTIONS, and divides both sides: the picture comes out that much smaller.
    """
    import simplejpeg

    try:
        rows, columns, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        if (columns, rows) != (width, height):
            raise TileError(f"JPEG of {columns} x {rows} px, expected {width} x {height}")
        if colours not in ("YCbCr", "RGB"):
            raise TileError(f"JPEG with {colours} colours, expected YCbCr or RGB")
        smallest = {"min_width": width // by, "min_height": height // by} if by > 1 else {}
        decoded: RGB = simplejpeg.decode_jpeg(data, colorspace="RGB", min_factor=by, strict=True, **smallest)
    except ValueError as error:
        raise TileError(str(error)) from error
    if decoded.shape[:2] != (height // by, width // by):
        raise TileError(f"JPEG shrunk to {decoded.shape[1]} x {decoded.shape[0]} px by {by}")
    return decoded


def decode_jpeg2000(data: bytes, width: int, height: int) -> RGB:
    """Decode a JPEG 2000 codestream of width x height px, three components of 8 bits.

    OpenJPEG reports truncation but not flipped bytes in the packets: JPEG 2000 data carry no checksum.
    """
    import imagecodecs

    _check_codestream(data, width, height)
    try:
        decoded: RGB = imagecodecs.jpeg2k_decode(data, numthreads=1)
    except (imagecodecs.Jpeg2kError, ValueError) as error:
        raise TileError(str(error)) from error
    if decoded.shape != (height, width, 3) or decoded.dtype != np.uint8:
        raise TileError(f"JPEG 2000 of {decoded.shape} {decoded.dtype}, expected {(height, width, 3)} uint8")
    return decoded


def _check_codestream(data: bytes, width: int, height: int) -> None:
    # ISO/IEC 15444-1 A.5.1: SOC, then SIZ: length, capabilities, size and offset of the image.
    if len(data) < 42 or data[:4] != b"\xff\x4f\xff\x51":
        raise TileError("no JPEG 2000 start marker")
    right, bottom, left, top = struct.unpack_from(">4I", data, 8)
    if (right - left, bottom - top) != (width, height):
        raise TileError(f"JPEG 2000 of {right - left} x {bottom - top} px, expected {width} x {height}")
    if struct.unpack_from(">H", data, 40)[0] != 3:
        raise TileError("JPEG 2000 without exactly three components")
    if EOI not in data[-4:]:  # padding to an even length may follow
        raise TileError("JPEG 2000 data end early")
    at = 2
    while at + 5 <= len(data) and data[at : at + 2] != _SOT:
        marker, length = struct.unpack_from(">HH", data, at)
        # A.6.4: without quantisation a byte for each subband, its upper five bits the exponent.
        if marker == _QCD and data[at + 4] & 31 == 0:
            exponent = max(data[at + 5 : at + 2 + length], default=0) >> 3
            if exponent > MOST_BITS:
                raise TileError(f"JPEG 2000 of {exponent} bits in a subband, expected {MOST_BITS} at most")
        at += 2 + length


def decode_lossless(data: bytes, width: int, height: int, compression: int, *, horizontal: bool) -> RGB:
    """Decode a whole tile of `LOSSLESS` data; `horizontal`: TIFF predictor 2 is undone."""
    import imagecodecs

    count = width * height * 3
    codec = LOSSLESS[compression]
    try:
        # The output is bounded. One byte more than the tile has is let through, to be seen below: LZW has no
        # checksum, and damage shows in its length alone.
        raw = data if codec == "none" else getattr(imagecodecs, f"{codec}_decode")(data, out=count + 1)
    except Exception as error:  # each codec has its own class
        raise TileError(str(error) or type(error).__name__) from error
    if len(raw) != count:
        raise TileError(f"decodes to {'more' if len(raw) > count else 'fewer'} than its {count} bytes")
    pixels: RGB = np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
    return np.cumsum(pixels, axis=1, dtype=np.uint8) if horizontal else pixels


def ycbcr_to_rgb(pixels: RGB) -> RGB:
    """Convert full-range YCbCr (JFIF, ITU-R BT.601) to RGB; both (rows, columns, 3) uint8."""
    from PIL import Image

    image = Image.frombytes(
        "YCbCr", (pixels.shape[1], pixels.shape[0]), np.ascontiguousarray(pixels).tobytes()
    )
    return np.array(image.convert("RGB"))
