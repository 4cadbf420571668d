"""Find the backend that reads a source."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from wsiseg.errors import SlideReadError, SlideRefusedError, UsageError, choose
from wsiseg.geometry import Region
from wsiseg.shortage import blame_no_input
from wsiseg.slides.names import is_dicom, is_url
from wsiseg.slides.slide import Slide

BACKENDS = {
    "tiff": ("wsiseg.slides.tiled_tiff", "TiledTiffSlide"),
    "openslide": ("wsiseg.slides.openslide_backend", "OpenSlideSlide"),
    "dicom": ("wsiseg.slides.dicom", "DicomSlide"),
    "ome-zarr": ("wsiseg.slides.ome_zarr", "OmeZarrSlide"),
    "image": ("wsiseg.slides.image", "ImageSlide"),
    "array": ("wsiseg.slides.array", "ArraySlide"),
}
"""Name: (module, class). Each class opens a source, or refuses it with the reason."""

DIRECT_VENDORS = ("aperio", "generic-tiff")
"""What OpenSlide calls the files that direct decoding shows exactly as it does."""

EXPECTED = (
    "expected a slide (SVS, TIFF, NDPI, MRXS, SCN, BIF, DICOM folder, OME-Zarr) or a PNG or JPEG picture"
)


def open_slide(source: Any, *, backend: str | None = None) -> Slide:
    """Open a path, a URL of an OME-Zarr, or a (rows, columns, 3) uint8 array.

    `backend` is a key of `BACKENDS`; by default it follows from the content. Raises SlideRefusedError
    with what was found, UsageError for an unknown backend.
    """
    if backend is not None and backend not in BACKENDS:
        raise UsageError(choose("slide backend", backend, BACKENDS))
    if not isinstance(source, str | os.PathLike):
        return _backend(backend or "array", source)
    text = os.fspath(source)
    if is_url(text):
        return _backend(backend or "ome-zarr", text)
    path = Path(text)
    if not path.exists():
        raise SlideRefusedError(f"{text}: no such file or folder")
    if backend == "openslide" and (path.is_dir() or is_dicom(path)):
        backend = "dicom"  # never past its colour check
    if backend is not None:
        return _backend(backend, path)
    slide = _by_content(path)
    try:
        _probe(slide)
    except BaseException:
        slide.close()
        raise
    return slide


def _backend(name: str, source: Any) -> Slide:
    module, cls = BACKENDS[name]
    slide: Slide = getattr(import_module(module), cls)(source)
    return slide


def _by_content(path: Path) -> Slide:
    if path.is_dir():
        return _folder(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        blame_no_input(error)
        raise SlideRefusedError(f"{path.name}: cannot be read: {error.strerror}") from error
    if not start:
        raise SlideRefusedError(f"{path.name}: the file is empty: {EXPECTED}")
    if is_dicom(path):
        return _backend("dicom", path)

    import openslide

    try:
        vendor = openslide.OpenSlide.detect_format(path)
    except openslide.OpenSlideError:
        vendor = None
    if vendor is not None and vendor not in DIRECT_VENDORS:
        return _backend("openslide", path)

    from wsiseg.slides.image import JPEG_SIGNATURE, PNG_SIGNATURE, TIFF_SIGNATURES

    if start.startswith(TIFF_SIGNATURES):
        return _tiff(path, vendor)
    if start.startswith((PNG_SIGNATURE, JPEG_SIGNATURE)):
        return _backend("image", path)
    raise SlideRefusedError(f"{path.name}: {_what(path, start)}: {EXPECTED}")


def _probe(slide: Slide) -> None:
    """Refuse a slide of which nothing can be decoded; of a sound one, one tile is read."""
    if slide.backend == "image":  # decoded whole, later
        return
    places = [(index, 1, 2) for index in reversed(range(len(slide.levels)))]
    places += [(0, numerator, 8) for numerator in range(1, 8)]
    reason = ""
    for index, numerator, denominator in places:
        level = slide.levels[index]
        x, y = level.width_px * numerator // denominator, level.height_px * numerator // denominator
        try:
            slide.read_region(index, Region(x, y, 1, 1))
            return
        except SlideReadError as error:
            reason = reason or str(error)
    raise SlideRefusedError(
        f"{reason} (nor could {len(places) - 1} other places): expected an undamaged slide"
    )


def _tiff(path: Path, vendor: str | None) -> Slide:
    """Decode directly where possible, else through OpenSlide where it knows the file, else as a picture."""
    from wsiseg.slides.tiff_layout import ContradictionError, NotRgbError, UntiledError

    try:
        return _backend("tiff", path)
    except SlideRefusedError as direct:
        if vendor is None and isinstance(direct, UntiledError):
            return _backend("image", path)
        if vendor is None or isinstance(direct, NotRgbError | ContradictionError):
            raise
        try:
            return _backend("openslide", path)
        except SlideRefusedError:
            raise direct from None


def _folder(path: Path) -> Slide:
    if any((path / name).is_file() for name in (".zattrs", ".zgroup", ".zarray", "zarr.json")):
        return _backend("ome-zarr", path)
    if any(is_dicom(item) for item in sorted(path.iterdir()) if item.is_file()):
        return _backend("dicom", path)
    raise SlideRefusedError(f"{path}: a folder without DICOM files or OME-Zarr metadata: {EXPECTED}")


def _what(path: Path, start: bytes) -> str:
    if path.suffix.lower() in (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif"):
        return f"the name says {path.suffix}, but the file starts with {start[:4]!r} and is no TIFF"
    if start.isascii() and b"\0" not in start:
        return "a text file"
    return f"an unknown kind of file (it starts with {start[:4]!r})"
