"""Find the DICOM series of a slide, and what its frames say about their colours."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wsiseg.errors import SlideRefusedError
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import one_line
from wsiseg.slides.names import is_dicom
from wsiseg.slides.tile_codecs import SOI, TileError, jpeg_segments

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class: VL Whole Slide Microscopy Image Storage."""
JPEG_SYNTAXES = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
"""Baseline and extended JPEG: the frames' own markers may contradict the header."""

Colours = Literal["RGB", "YCbCr"]

FRAMES_ASKED = 5
_APP0, _APP14 = 0xE0, 0xEE
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2)


@dataclass(frozen=True, slots=True)
class Instance:
    """One file of a whole-slide series."""

    path: Path
    series: str
    volume: bool
    """A resolution level; not a label, overview or thumbnail."""
    size: tuple[int, int]
    """(width, height) of the whole level in px."""
    jpeg: bool
    photometric: str
    frames: int


def read_instance(path: Path) -> Instance | None:
    """Read one file's header; None where it is DICOM of another kind. Raises SlideRefusedError."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values elsewhere in the header are not our business
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if str(header.get("SOPClassUID", "")) != WHOLE_SLIDE:
                return None
            kind = [str(item) for item in header.get("ImageType", [])]
            return Instance(
                path=path,
                series=str(header.SeriesInstanceUID),
                volume="VOLUME" in kind,
                size=(int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows)),
                jpeg=str(header.file_meta.TransferSyntaxUID) in JPEG_SYNTAXES,
                photometric=str(header.PhotometricInterpretation),
                frames=int(header.get("NumberOfFrames", 1) or 1),
            )
    except Exception as error:  # a damaged header can fail anywhere in the parser
        blame_no_input(error)
        raise SlideRefusedError(
            f"{path.name}: a damaged DICOM header: {one_line(error)}: expected a whole-slide image"
        ) from error


def find_series(path: Path) -> tuple[Instance, ...]:
    """Return the files of the one series that a folder holds, or that a file belongs to.

    Raises SlideRefusedError for a folder with several, naming them.
    """
    folder = path if path.is_dir() else path.parent
    wanted = None
    if not path.is_dir():
        member = read_instance(path)
        if member is None:
            raise SlideRefusedError(
                f"{path.name}: DICOM, but no whole-slide image: expected one ({WHOLE_SLIDE})"
            )
        wanted = member.series
    by_series: dict[str, list[Instance]] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and is_dicom(file):
            found = read_instance(file)
            if found is not None and wanted in (None, found.series):
                by_series.setdefault(found.series, []).append(found)
    if not by_series:
        raise SlideRefusedError(f"{folder.name}: no DICOM whole-slide images in this folder")
    if len(by_series) > 1:
        names = ", ".join(f"{uid} ({files[0].path.name}...)" for uid, files in sorted(by_series.items()))
        raise SlideRefusedError(
            f"{folder.name}: {len(by_series)} DICOM series, expected one: give a file of it: {names}"
        )
    return tuple(next(iter(by_series.values())))


def colours_of(instance: Instance) -> Colours | None:
    """Return what the JPEG frames hold, by their markers, else by their glass; None if neither tells."""
    undecided = []
    for frame in _frames(instance):
        said = colours_by_markers(frame)
        if said is not None:
            return said
        undecided.append(frame)
    for frame in undecided:
        said = colours_by_glass(frame)
        if said is not None:
            return said
    return None


def _frames(instance: Instance) -> Iterable[bytes]:
    import pydicom
    from pydicom.encaps import get_frame

    indices = sorted({round(i * (instance.frames - 1) / (FRAMES_ASKED - 1)) for i in range(FRAMES_ASKED)})
    for index in indices:
        try:
            with instance.path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pydicom.dcmread(file, stop_before_pixels=True)
                file.seek(12, 1)  # the tag, representation and length of the pixel data
                frame = bytes(get_frame(file, index, number_of_frames=instance.frames))
        except Exception as error:  # damaged encapsulation fails anywhere in the parser
            blame_no_input(error)
            raise SlideRefusedError(
                f"{instance.path.name}: frame {index} cannot be found: {one_line(error)}: "
                "expected an undamaged file"
            ) from error
        yield frame


def colours_by_markers(frame: bytes) -> Colours | None:
    """Return what a JPEG says about its colours, None where it says nothing.

    In libjpeg's order: a JFIF file is YCbCr; else Adobe's transform decides; else component names; and
    sub-sampled second and third components are chroma, nobody halves green and blue.
    """
    try:
        segments = jpeg_segments(frame, len(frame))
    except TileError:
        return None
    by_marker = {marker: frame[start + 4 : stop] for marker, start, stop in reversed(segments)}
    if by_marker.get(_APP0, b"").startswith(b"JFIF"):
        return "YCbCr"
    adobe = by_marker.get(_APP14, b"")
    if adobe.startswith(b"Adobe") and len(adobe) >= 12:
        return "RGB" if adobe[11] == 0 else "YCbCr"
    header = next((by_marker[marker] for marker in _FRAME_HEADERS if marker in by_marker), b"")
    if len(header) < 15 or header[5] != 3:
        return None
    names, sampling = bytes(header[6:15:3]), tuple(header[7:15:3])
    if names == b"RGB":
        return "RGB"
    return "YCbCr" if sampling[1] == sampling[2] != sampling[0] else None


def colours_by_glass(frame: bytes) -> Colours | None:
    """Tell from a frame's brightest pixels: glass is (240, 240, 240) in RGB, (240, 128, 128) in YCbCr."""
    import simplejpeg

    # Decoded as what it would be without any transform: an Adobe marker says so.
    raw = SOI + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00" + frame[2:]
    try:
        pixels: Any = simplejpeg.decode_jpeg(raw, colorspace="RGB", strict=False).reshape(-1, 3)
    except ValueError:
        return None
    bright = pixels[pixels[:, 0] > 215]
    if len(bright) < max(16, len(pixels) // 200):
        return None
    second, third = np.median(bright[:, 1]), np.median(bright[:, 2])
    if min(second, third) > 180:
        return "RGB"
    return "YCbCr" if max(abs(second - 128), abs(third - 128)) < 20 else None
