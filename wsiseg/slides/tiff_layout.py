"""Which directories of a TIFF are levels, and where their tiles lie. Reads headers, never pixels."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideRefusedError
from wsiseg.geometry import ceil_div
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import one_line
from wsiseg.slides.physical import UNIT_UM
from wsiseg.slides.tile_codecs import (
    JPEG,
    JPEG2000_RGB,
    PHOTOMETRIC_RGB,
    PHOTOMETRIC_YCBCR,
    SUPPORTED,
)

MAX_DIRECTORIES = 200
MAX_TILE_PX = 2**24
MAX_ELEMENT_CHARS = 4096
_REDUCED = 1
_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}
"""TIFF ResolutionUnit: inch, centimetre."""


class UntiledError(SlideRefusedError):
    """A TIFF that may be a plain picture."""


class NotRgbError(SlideRefusedError):
    """A TIFF whose pixels are no brightfield colours, whoever decodes them."""


class ContradictionError(SlideRefusedError):
    """A TIFF whose tags cannot be true together: a decoder would invent pixels, or abort the process."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffLevel:
    """One tiled directory: 8-bit RGB, interleaved."""

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int
    compression: int
    photometric: int
    horizontal_predictor: bool
    jpeg_tables: bytes | None
    offsets: NDArray[np.uint64]
    """(tiles,) in the file, row by row."""
    byte_counts: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class TiffLayout:
    """What a slide's TIFF says about itself."""

    levels: tuple[TiffLevel, ...]
    vendor: str
    mpp: tuple[float, float] | None
    objective_power: float | None
    associated: tuple[tuple[str, tuple[int, int]], ...]
    warnings: tuple[str, ...]


def read_layout(path: Path) -> TiffLayout:
    """Read the layout of a tiled TIFF; SlideRefusedError where it is none, or not 8-bit interleaved RGB."""
    import tifffile

    # What tifffile reports by logging ends in our own checks or in its exception.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as tiff:
            return _layout(path.name, tiff)
    except SlideRefusedError:
        raise
    except Exception as error:  # a damaged header can fail anywhere in the parser
        blame_no_input(error)
        raise SlideRefusedError(f"{path.name}: not a readable TIFF: {one_line(error)}") from error


def _layout(name: str, tiff: Any) -> TiffLayout:
    pages: list[Any] = []
    for page in tiff.pages:
        if len(pages) == MAX_DIRECTORIES:
            raise SlideRefusedError(f"{name}: more than {MAX_DIRECTORIES} TIFF directories: expected a slide")
        pages.append(page)
    if not pages:
        raise SlideRefusedError(f"{name}: a TIFF without any image")
    first = pages[0]
    description = str(first.description or "")
    aperio = description.startswith("Aperio")
    candidates = [first]
    if first.subifds:
        candidates += list(first.pages)[:MAX_DIRECTORIES]
    others = pages[1:]
    candidates += [page for page in others if page.is_tiled and (aperio or page.subfiletype & _REDUCED)]
    levels = [_level(name, candidates[0])]
    skipped = []
    for page in candidates[1:]:
        if not _same_picture(levels[0], page):
            skipped.append(f"{page.imagewidth} x {page.imagelength}")
            continue
        levels.append(_level(name, page))
    levels.sort(key=lambda item: -item.width_px)
    if levels[0].width_px != first.imagewidth:
        raise SlideRefusedError(
            f"{name}: the first TIFF directory is not the largest: expected level 0 there"
        )
    associated: list[tuple[str, tuple[int, int]]] = []
    found: set[str] = set()
    for page in others:
        if page.is_tiled:
            continue
        label = _associated_name(page, aperio, len(found))
        if label and label not in found:
            found.add(label)
            associated.append((label, (int(page.imagewidth), int(page.imagelength))))
    mpp, power, warnings = physical_size(tiff, first, description, aperio)
    if skipped:
        warnings.append(f"directories of another shape are not used as levels: {', '.join(skipped)} px")
    return TiffLayout(
        levels=tuple(levels),
        vendor="aperio" if aperio else ("ome" if tiff.is_ome else "generic-tiff"),
        mpp=mpp,
        objective_power=power,
        associated=tuple(sorted(associated)),
        warnings=tuple(warnings),
    )


def _same_picture(level0: TiffLevel, page: Any) -> bool:
    """Tell whether a directory is a smaller copy: the same aspect ratio within two pixels of rounding."""
    width, height = int(page.imagewidth), int(page.imagelength)
    if not 0 < width < level0.width_px or not 0 < height <= level0.height_px:
        return False
    factor = level0.width_px / width
    return abs(level0.height_px / factor - height) <= 2 + 2 * height / width


def _level(name: str, page: Any) -> TiffLevel:
    def refuse(found: str, expected: str) -> SlideRefusedError:
        return SlideRefusedError(f"{name}: {found}: expected {expected}")

    if not page.is_tiled:
        raise UntiledError(
            f"{name}: an untiled TIFF: expected tiles (the image backend reads plain pictures)"
        )
    if page.samplesperpixel not in (3, 4) or page.bitspersample != 8 or page.sampleformat not in (None, 1):
        raise NotRgbError(
            f"{name}: {page.samplesperpixel} samples of {page.bitspersample} bits: expected RGB of 8 bits, "
            "as brightfield slides have"
        )
    if page.samplesperpixel != 3 or page.planarconfig != 1:
        raise refuse(
            f"{page.samplesperpixel} samples of {page.bitspersample} bits, planar configuration "
            f"{page.planarconfig}",
            "interleaved RGB of 8 bits (brightfield)",
        )
    compression, photometric = int(page.compression), int(page.photometric)
    if compression not in SUPPORTED:
        raise refuse(f"TIFF compression {compression}", f"one of {', '.join(map(str, SUPPORTED))}")
    may_be_ycbcr = compression in (JPEG, JPEG2000_RGB)
    if photometric != PHOTOMETRIC_RGB and not (photometric == PHOTOMETRIC_YCBCR and may_be_ycbcr):
        if photometric in (0, 1, 3):  # grey or palette, which have one sample, not three
            raise ContradictionError(
                f"{name}: TIFF photometric {photometric} with 3 samples: expected RGB (2)"
            )
        raise refuse(f"TIFF photometric {photometric}", "RGB (2), or YCbCr (6) in JPEG")
    predictor = int(page.predictor)
    if predictor not in (1, 2) or (predictor == 2 and may_be_ycbcr):
        raise refuse(f"TIFF predictor {predictor}", "1 or 2")
    width, height = int(page.imagewidth), int(page.imagelength)
    tile_width, tile_height = int(page.tilewidth), int(page.tilelength)
    if not 0 < tile_width * tile_height <= MAX_TILE_PX or min(width, height, tile_width, tile_height) <= 0:
        raise ContradictionError(
            f"{name}: {width} x {height} px in tiles of {tile_width} x {tile_height}: expected sensible sizes"
        )
    tiles = ceil_div(width, tile_width) * ceil_div(height, tile_height)
    if len(page.dataoffsets) != tiles or len(page.databytecounts) != tiles:
        raise ContradictionError(
            f"{name}: {len(page.dataoffsets)} tile offsets and {len(page.databytecounts)} byte counts: "
            f"expected {tiles} of each"
        )
    return TiffLevel(
        width_px=width,
        height_px=height,
        tile_width_px=tile_width,
        tile_height_px=tile_height,
        compression=compression,
        photometric=photometric,
        horizontal_predictor=predictor == 2,
        jpeg_tables=page.jpegtables,
        offsets=np.asarray(page.dataoffsets, dtype=np.uint64),
        byte_counts=np.asarray(page.databytecounts, dtype=np.uint64),
    )


def _associated_name(page: Any, aperio: bool, already: int) -> str | None:
    if not aperio:
        return None
    second = (str(page.description or "").splitlines() or ["", ""])[1:2]
    word = second[0].split(" ")[0].strip().lower() if second else ""
    if word in ("label", "macro"):
        return word
    return "thumbnail" if already == 0 else None


def physical_size(
    tiff: Any, first: Any, description: str, aperio: bool
) -> tuple[tuple[float, float] | None, float | None, list[str]]:
    """Return (x, y) um per pixel of the first page, its objective power, and warnings; None where unsaid."""
    if aperio:
        parts = [part.partition("=") for part in description.split("|")[1:]]
        fields = {key.strip(): value for key, _, value in parts}
        mpp = _positive(fields.get("MPP"))
        return (mpp, mpp) if mpp else None, _positive(fields.get("AppMag")), []
    if tiff.is_ome:
        return _ome_physical(str(tiff.ome_metadata or ""))
    unit = _UM_PER_UNIT.get(int(first.resolutionunit or 0))
    values = []
    for tag in ("XResolution", "YResolution"):
        found = first.tags.get(tag)
        pair = found.value if found is not None else (0, 1)
        per_unit = pair[0] / pair[1] if isinstance(pair, tuple) and len(pair) == 2 and pair[1] else 0.0
        values.append(unit / per_unit if unit and per_unit > 0 else None)
    x, y = values
    return (x, y) if x and y else None, None, []


def _ome_physical(xml: str) -> tuple[tuple[float, float] | None, float | None, list[str]]:
    """Read the pixel size of the first image. By pattern: the file is hostile, and no XML parser sees it."""
    attributes = _first_attributes(xml, "Pixels")
    if not attributes:
        return None, None, ["OME-XML without a Pixels element: no pixel size"]
    values = []
    for axis in "XY":
        size = _positive(attributes.get(f"PhysicalSize{axis}"))
        unit = UNIT_UM.get(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
        values.append(size * unit if size and unit else None)
    power = _positive(_first_attributes(xml, "Objective").get("NominalMagnification"))
    x, y = values
    return (x, y) if x and y else None, power, []


def _first_attributes(xml: str, element: str) -> dict[str, str]:
    """Return the attributes of the first such element; bounded, so that no text makes a pattern run long."""
    found = re.search(rf"<(?:\w{{1,20}}:)?{element}\s", xml)
    if found is None:
        return {}
    tag = xml[found.end() : found.end() + MAX_ELEMENT_CHARS].partition(">")[0]
    return dict(re.findall(r"(\w{1,40})\s{0,9}=\s{0,9}[\"']([^\"']*)[\"']", tag))


def _positive(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
