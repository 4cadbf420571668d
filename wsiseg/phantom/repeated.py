"""A slide of any size out of a small real one: its encoded JPEG tiles, repeated, never encoded again.

All tiles of a level point at the same few stored ones, so the file stays small and is written in a second.
Its pixels sit in the page cache: it measures memory and computing, not reading from a disk.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region
from wsiseg.whole_files import appears_whole

LEVEL_FACTOR = 4
_LEAST_LEVEL_PX = 1024
_QUALITY = 88
_JPEG, _YCBCR, _CENTIMETRE = 7, 6, 3


@dataclass(frozen=True, slots=True)
class _Unit:
    """The repeated part of a level: whole tiles, encoded."""

    tiles: list[bytes]
    rows: int
    columns: int
    tables: bytes | None
    photometric: int
    subsampling: tuple[int, int] | None


def repeat_tiles(
    source: Path, destination: Path, width_px: int, height_px: int, *, tissue: Region | None = None
) -> None:
    """Write a BigTIFF pyramid (levels 1, 4, 16...) of the given size from the whole tiles of `source`.

    `source` is a JPEG-tiled TIFF or SVS with a known mpp; its whole tiles of level 0 are repeated in both
    directions. Tiles whose middle lies outside of `tissue` (level-0 pixels; None: everywhere) are the
    lightest tile instead: glass. OpenSlide and tifffile open the result, with the source's mpp. Raises
    InputRefusedError for a source that is not such a file, UsageError for a size that cannot be written.
    """
    if not 1 <= width_px < 2**31 or not 1 <= height_px < 2**31:
        raise UsageError(
            f"repeated slide of {width_px} x {height_px} px: sides must be 1 to {2**31 - 1:,} px"
        )
    if not destination.parent.is_dir():
        raise UsageError(f"{destination}: its folder does not exist; create it first")
    try:
        with tifffile.TiffFile(source) as tiff:
            page = _checked(tiff, source)
            mpp = _mpp(page, source)
            side = int(page.tilewidth)
            unit = _unit_of(page, source)
            pixels = page.asarray()[: unit.rows * side, : unit.columns * side]
            glass, glass_pixels = _lightest(unit, pixels, side)
    except (tifffile.TiffFileError, OSError) as error:
        raise InputRefusedError(f"{source}: cannot be read as a TIFF: {error}") from error

    with appears_whole(destination) as partial, partial.open("wb") as file:
        writer = _BigTiff(file)
        factor = 1
        while True:
            level = max(1, math.ceil(width_px / factor)), max(1, math.ceil(height_px / factor))
            writer.page(level, side, unit, mpp * factor, factor, glass, tissue)
            if max(level) <= _LEAST_LEVEL_PX:
                break
            factor *= LEVEL_FACTOR
            pixels = _reduced(pixels, side)
            unit = _encoded(pixels, side)
            glass_pixels = _reduced(glass_pixels, side)
            glass = _encoded(glass_pixels, side).tiles[0]


def _checked(tiff: tifffile.TiffFile, source: Path) -> tifffile.TiffPage:
    page = tiff.pages.first
    if not page.is_tiled or page.compression != _JPEG or page.samplesperpixel != 3:
        raise InputRefusedError(
            f"{source}: its first image is not RGB in JPEG tiles; take an SVS or TIFF that is"
        )
    if page.tilewidth != page.tilelength or page.planarconfig != 1:
        raise InputRefusedError(f"{source}: its tiles are not square with interleaved colours; take another")
    if page.imagewidth < page.tilewidth or page.imagelength < page.tilelength:
        raise InputRefusedError(f"{source}: it holds no whole tile; take a larger slide")
    return page


def _mpp(page: tifffile.TiffPage, source: Path) -> float:
    for part in page.description.split("|"):
        key, _, value = part.partition("=")
        if key.strip() == "MPP":
            return float(value)
    resolution = page.tags.get("XResolution")
    unit = page.tags.get("ResolutionUnit")
    if resolution is not None and unit is not None and unit.value in (2, 3) and resolution.value[0]:
        per_um = resolution.value[0] / resolution.value[1] / (25400.0 if unit.value == 2 else 10000.0)
        return float(1 / per_um)
    raise InputRefusedError(f"{source}: it does not say its mpp; take a slide that does")


def _unit_of(page: tifffile.TiffPage, source: Path) -> _Unit:
    side = int(page.tilewidth)
    across = math.ceil(page.imagewidth / side)
    columns, rows = page.imagewidth // side, page.imagelength // side
    handle = page.parent.filehandle
    tiles = []
    for row in range(rows):
        for column in range(columns):
            index = row * across + column
            handle.seek(page.dataoffsets[index])
            tiles.append(handle.read(page.databytecounts[index]))
    if not all(tiles):
        raise InputRefusedError(f"{source}: some of its tiles are empty; take a slide without holes")
    subsampling = page.tags.get("YCbCrSubSampling")
    return _Unit(
        tiles,
        rows,
        columns,
        page.jpegtables,
        int(page.photometric),
        None if subsampling is None else tuple(subsampling.value),
    )


def _lightest(unit: _Unit, pixels: NDArray[np.uint8], side: int) -> tuple[bytes, NDArray[np.uint8]]:
    """Return the tile whose darkest pixel is the lightest, encoded and as pixels."""
    tiles = pixels.reshape(unit.rows, side, unit.columns, side, 3).transpose(0, 2, 1, 3, 4)
    lightest = int(tiles.min((2, 3, 4)).argmax())
    return unit.tiles[lightest], tiles[divmod(lightest, unit.columns)]


def _reduced(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return one repeat of the next level, in whole tiles: area means of the endlessly repeated `pixels`.

    A level that repeats after n tiles repeats after n / gcd(n, 4) on the next one.
    """
    rows, columns = (length // math.gcd(length // side, LEVEL_FACTOR) for length in pixels.shape[:2])
    result = np.empty((rows, columns, 3), np.uint8)
    source_columns = np.arange(columns * LEVEL_FACTOR) % pixels.shape[1]
    for row in range(rows):
        source_rows = (row * LEVEL_FACTOR + np.arange(LEVEL_FACTOR)) % pixels.shape[0]
        total = pixels[source_rows].sum(axis=0, dtype=np.uint32)[source_columns]
        mean = total.reshape(columns, LEVEL_FACTOR, 3).sum(axis=1) / LEVEL_FACTOR**2
        result[row] = np.floor(mean + 0.5)
    return result


def _encoded(pixels: NDArray[np.uint8], side: int) -> _Unit:
    rows, columns = (length // side for length in pixels.shape[:2])
    tiles = []
    for row in range(rows):
        for column in range(columns):
            tile = pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
            coded = imagecodecs.jpeg8_encode(
                np.ascontiguousarray(tile),
                level=_QUALITY,
                colorspace="rgb",
                outcolorspace="ycbcr",
                subsampling=(2, 2),
            )
            tiles.append(bytes(coded))
    return _Unit(tiles, rows, columns, None, _YCBCR, (2, 2))


class _BigTiff:
    """Writes a chain of tiled pages whose offsets may share bytes. Layout: the BigTIFF specification."""

    def __init__(self, file: object) -> None:
        self._file = file
        self._write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        self._next_ifd_at = 8

    def _write(self, data: bytes) -> int:
        at = int(self._file.tell())  # type: ignore[attr-defined]
        self._file.write(data)  # type: ignore[attr-defined]
        return at

    def page(
        self,
        level: tuple[int, int],
        side: int,
        unit: _Unit,
        mpp: float,
        factor: int,
        glass: bytes,
        tissue: Region | None,
    ) -> None:
        """Append a page of `level` (width, height) whose tiles repeat `unit`, outside of tissue `glass`."""
        tiles = [*unit.tiles, glass]
        stored = np.array([self._write(tile) for tile in tiles], np.uint64)
        sizes = np.array([len(tile) for tile in tiles], np.uint64)
        columns, rows = (math.ceil(length / side) for length in level)
        index = (np.arange(rows) % unit.rows)[:, None] * unit.columns + np.arange(columns) % unit.columns
        if tissue is not None:
            x, y = ((np.arange(count) + 0.5) * side * factor for count in (columns, rows))
            within = ((tissue.y <= y) & (y < tissue.bottom))[:, None] & (tissue.x <= x) & (x < tissue.right)
            index = np.where(within, index, len(unit.tiles))
        offsets, counts = stored[index.ravel()], sizes[index.ravel()]
        per_cm = struct.pack("<II", round(1e4 / mpp * 1000), 1000)
        tags = [
            (254, 4, 1, struct.pack("<I", int(factor > 1))),
            (256, 4, 1, struct.pack("<I", level[0])),
            (257, 4, 1, struct.pack("<I", level[1])),
            (258, 3, 3, struct.pack("<3H", 8, 8, 8)),
            (259, 3, 1, struct.pack("<H", _JPEG)),
            (262, 3, 1, struct.pack("<H", unit.photometric)),
            (277, 3, 1, struct.pack("<H", 3)),
            (282, 5, 1, per_cm),
            (283, 5, 1, per_cm),
            (284, 3, 1, struct.pack("<H", 1)),
            (296, 3, 1, struct.pack("<H", _CENTIMETRE)),
            (322, 4, 1, struct.pack("<I", side)),
            (323, 4, 1, struct.pack("<I", side)),
            (324, 16, len(offsets), offsets.astype("<u8").tobytes()),
            (325, 16, len(counts), counts.astype("<u8").tobytes()),
        ]
        if unit.tables is not None:
            tags.append((347, 7, len(unit.tables), unit.tables))
        if unit.subsampling is not None:
            tags.append((530, 3, 2, struct.pack("<2H", *unit.subsampling)))
        self._directory(tags)

    def _directory(self, tags: list[tuple[int, int, int, bytes]]) -> None:
        entries = b""
        for code, kind, count, value in tags:
            if len(value) > 8:
                self._align()
                value = struct.pack("<Q", self._write(value))
            entries += struct.pack("<HHQ", code, kind, count) + value.ljust(8, b"\0")
        self._align()
        at = self._write(struct.pack("<Q", len(tags)) + entries + struct.pack("<Q", 0))
        end = self._file.tell()  # type: ignore[attr-defined]
        self._file.seek(self._next_ifd_at)  # type: ignore[attr-defined]
        self._write(struct.pack("<Q", at))
        self._file.seek(end)  # type: ignore[attr-defined]
        self._next_ifd_at = end - 8

    def _align(self) -> None:
        at = self._file.tell()  # type: ignore[attr-defined]
        self._write(b"\0" * (-at % 8))
