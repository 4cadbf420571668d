"""Plain pictures as slides of one level: PNG, JPEG, untiled TIFF; decoded whole, once, when first read."""

from __future__ import annotations

import struct
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np

from wsiseg.errors import SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import SlideBase, build_levels, one_line
from wsiseg.slides.slide import RGB

MAX_IMAGE_PX = 400_000_000
"""Pixels of the largest picture: 1.2 GB decoded, four of the largest published breast regions."""

MAX_FILE_BYTES = 4 * MAX_IMAGE_PX
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class ImageSlide(SlideBase):
    """A PNG, JPEG or untiled TIFF of 8 bits; grey becomes RGB, transparent becomes white.

    Its resolution tags are taken from TIFF only: those of PNG and JPEG are screen settings.
    """

    backend = "image"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        super().__init__(str(path), self._path.name)
        self._lock = threading.Lock()
        self._pixels: RGB | None = None
        self._failure = ""
        width, height = self._read_header()
        if width <= 0 or height <= 0:
            raise SlideRefusedError(f"{self.name}: {width} x {height} px: expected a picture")
        if width * height > MAX_IMAGE_PX or self._path.stat().st_size > MAX_FILE_BYTES:
            raise SlideRefusedError(
                f"{self.name}: {width} x {height} px in an untiled picture: expected at most "
                f"{MAX_IMAGE_PX // 10**6} megapixels: convert it to a tiled TIFF"
            )
        self.levels = build_levels([(width, height)])

    def reopen(self) -> Self:
        """See `Slide.reopen`."""
        return type(self)(self._path)

    def close(self) -> None:
        """See `Slide.close`."""
        super().close()
        with self._lock:
            self._pixels = None

    def _read_header(self) -> tuple[int, int]:
        with self._path.open("rb") as file:
            start = file.read(32)
        if start.startswith(PNG_SIGNATURE):
            self.vendor = "png"
            if len(start) < 26 or start[12:16] != b"IHDR":
                raise SlideRefusedError(f"{self.name}: a PNG without a header: the file is damaged")
            width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
            # Palettes and bits below 8 are expanded by libpng; 16 bits are not brightfield scans.
            if bits == 16:
                raise SlideRefusedError(f"{self.name}: a PNG of 16 bits: expected 8 bits per channel")
            if colour in (0, 4):
                self.warnings = ("a grey picture: its three channels are equal",)
            return width, height
        if start.startswith(JPEG_SIGNATURE):
            self.vendor = "jpeg"
            return self._read_jpeg_header()
        if start.startswith(TIFF_SIGNATURES):
            self.vendor = "tiff"
            return self._read_tiff_header()
        raise SlideRefusedError(f"{self.name}: not a PNG, JPEG or TIFF: expected a picture or a slide file")

    def _read_jpeg_header(self) -> tuple[int, int]:
        import simplejpeg

        with self._path.open("rb") as file:
            start = file.read(2**22)  # the size stands before the scan, after metadata and colour profiles
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(start, strict=False)
        except ValueError as error:
            raise SlideRefusedError(f"{self.name}: a damaged JPEG: {one_line(error)}") from error
        if colours not in ("YCbCr", "RGB", "Gray"):
            raise SlideRefusedError(f"{self.name}: a JPEG with {colours} colours: expected RGB")
        if colours == "Gray":
            self.warnings = ("a grey picture: its three channels are equal",)
        return int(width), int(height)

    def _read_tiff_header(self) -> tuple[int, int]:
        from wsiseg.slides.picture_header import read_picture_header

        header = read_picture_header(self._path)
        self.mpp = header.mpp
        if header.samples == 1:
            self.warnings = ("a grey picture: its three channels are equal",)
        return header.width_px, header.height_px

    def _read_inside(self, level: int, inside: Region) -> RGB:
        with self._lock:
            self._check_open()
            if self._pixels is None and not self._failure:
                try:
                    self._pixels = self._decode()
                except Exception as error:  # PNG, JPEG and each TIFF codec have their own
                    blame_no_input(error)
                    self._failure = one_line(error)
            if self._pixels is None:
                raise self._unreadable(level, inside, self._failure)
            pixels = self._pixels
        return pixels[inside.slices_in(self.levels[0].region)]

    def _decode(self) -> RGB:
        size = (self.levels[0].height_px, self.levels[0].width_px)
        decoded = _decoded(self._path, self.vendor)
        if decoded.dtype == np.bool_:
            decoded = decoded.astype(np.uint8) * 255
        if decoded.ndim == 2:
            decoded = decoded[..., None]
        if decoded.shape[:2] != size or decoded.dtype != np.uint8 or decoded.shape[2] not in (1, 2, 3, 4):
            raise ValueError(f"decoded to {decoded.shape} of {decoded.dtype}")
        if decoded.shape[2] in (2, 4):
            colour, alpha = decoded[..., :-1], decoded[..., -1:]
            if (alpha == 255).all():
                decoded = colour
            else:
                over = colour.astype(np.uint32) * alpha + 255 * (255 - alpha.astype(np.uint32))
                decoded = ((over + 127) // 255).astype(np.uint8)
        if decoded.shape[2] == 1:
            decoded = np.repeat(decoded, 3, axis=2)
        return np.ascontiguousarray(decoded)


def _decoded(path: Path, vendor: str) -> Any:
    if vendor == "tiff":
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            return tiff.pages[0].asarray(maxworkers=1)
    data = path.read_bytes()
    if vendor == "jpeg":
        import simplejpeg

        return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
    import imagecodecs

    return imagecodecs.png_decode(data)
