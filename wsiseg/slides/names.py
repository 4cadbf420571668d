"""The id of a slide: what its outputs are called."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

KNOWN_SUFFIXES = (
    ".svs", ".tiff", ".tif", ".ndpi", ".vms", ".vmu", ".mrxs", ".scn", ".bif", ".svslide", ".czi",
    ".ome", ".zarr", ".png", ".jpeg", ".jpg", ".dcm",
)  # fmt: skip
"""Stripped from the end of a name, any number of times."""


def is_url(source: str) -> bool:
    """Tell whether a source is a URL and no path: it has a scheme of two letters or more."""
    scheme, separator, _ = source.partition("://")
    return bool(separator) and len(scheme) > 1


def slide_id(source: str | Path) -> str:
    """Return the file's name without its known suffixes; for a DICOM file the name of its folder.

    What follows the last known suffix stays: "a.b.svs" is "a.b".
    """
    text = str(source)
    if is_url(text):
        name = PurePosixPath(unquote(urlsplit(text).path)).name or urlsplit(text).netloc
    else:
        path = Path(text)
        if path.suffix.lower() == ".dcm" or (path.is_file() and is_dicom(path)):
            path = path.absolute().parent
        name = path.name if path.name not in ("", "..") else path.resolve().name
    stem = name
    while True:
        for suffix in KNOWN_SUFFIXES:
            if stem.lower().endswith(suffix) and len(stem) > len(suffix):
                stem = stem[: -len(suffix)]
                break
        else:
            return stem or name


def is_dicom(path: Path) -> bool:
    """Tell whether a file starts as DICOM files do (128 bytes, then DICM)."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
