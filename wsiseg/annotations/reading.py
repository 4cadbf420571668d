"""Annotation files of any known format, told apart by what is in them."""

from __future__ import annotations

from pathlib import Path

from wsiseg.annotations.annotation import Annotation, Warn, log_warning
from wsiseg.annotations.asap import read_asap
from wsiseg.annotations.geojson import read_geojson
from wsiseg.annotations.imagescope import read_imagescope
from wsiseg.annotations.label_image import read_label_image
from wsiseg.errors import InputRefusedError, UsageError, choose

FORMATS = {
    "geojson": read_geojson,
    "asap": read_asap,
    "imagescope": read_imagescope,
    "label-image": read_label_image,
}
"""Name: function that reads a path, given what to do with warnings."""

LABEL_IMAGES = (".png", ".tif", ".tiff")


def read_annotations(
    path: Path,
    *,
    size_l0: tuple[int, int] | None = None,
    kind: str | None = None,
    warn: Warn = log_warning,
) -> list[Annotation]:
    """Read an annotation file: areas in level-0 pixels, in the file's order.

    `size_l0`, the slide's (width, height), lets a coarser label image be stretched; `kind` is a key of
    FORMATS where the content shall not decide. Raises InputRefusedError, in one line.
    """
    if not path.is_file():
        raise InputRefusedError(f"annotation {path}: no such file")
    kind = kind or annotation_format(path)
    if kind not in FORMATS:
        raise UsageError(choose("annotation format", kind, FORMATS))
    if kind == "label-image":
        return read_label_image(path, warn, size_l0)
    return FORMATS[kind](path, warn)


def annotation_format(path: Path) -> str:
    """Return the key of FORMATS for a file; InputRefusedError where it is none of them."""
    with path.open("rb") as file:
        start = file.read(65536)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "label-image"
    if text.startswith((b"{", b"[")) or (start.startswith(b"\x1f\x8b") and ".geojson" in path.name.lower()):
        return "geojson"
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    if text.startswith(b"<") or wide:
        body = start.decode("utf-16", "replace") if wide else start.decode("utf-8", "replace")
        if "<ASAP_Annotations" in body:
            return "asap"
        if "<Annotations" in body:
            return "imagescope"
    raise InputRefusedError(
        f"annotation {path.name}: of no known format: expected QuPath GeoJSON, ASAP XML, ImageScope XML "
        f"or a label image ({', '.join(LABEL_IMAGES)})"
    )
