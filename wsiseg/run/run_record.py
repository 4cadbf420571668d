"""What a run was made with: resolved once, stored with the result, and compared by every resume."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from wsiseg.geometry import Region
from wsiseg.slides.names import is_url
from wsiseg.slides.slide import Slide

Json = dict[str, Any]

VERSIONED = (
    "wsiseg", "numpy", "zarr", "numcodecs", "tifffile", "imagecodecs", "simplejpeg", "pillow",
    "openslide-python", "openslide-bin",
)  # fmt: skip
"""Packages whose version can move a byte of the result; the runtime's own stands beside it in the record."""

_PROBE_BYTES = 1 << 20
_FOLDER_PROBE_BYTES = 4096
_MOST_FILES = 10_000
_STRIP_PX = 4_000_000


def package_versions() -> dict[str, str]:
    """Return the installed version of each package in VERSIONED."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def local_files(slide: Slide) -> tuple[Path, ...]:
    """Return the files and folders that a slide is made of; none for an array or a URL of elsewhere."""
    path = local_path(slide.source)
    if slide.backend == "array" or path is None:
        return ()
    if slide.backend == "dicom" and path.is_file():  # any member stands for its series
        return (path.parent,)
    data = path.with_suffix("")
    return (path, data) if path.suffix.lower() == ".mrxs" and data.is_dir() else (path,)


def local_path(source: str) -> Path | None:
    """Return the path that a path or file URL stands for; None for another URL."""
    if not is_url(source):
        return Path(source)
    parts = urlsplit(source)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def fingerprint(slide: Slide) -> str:
    """Return a short digest of a slide: names and sizes of its files, and the ends of each of them.

    It recognises another slide under the same name without reading gigabytes; of a folder the first
    10,000 files count. An array is read whole. Of a URL its own text counts, without the query.
    """
    digest = hashlib.sha256()
    if slide.backend == "array":
        level = slide.levels[0]
        rows = max(1, _STRIP_PX // level.width_px)
        for top in range(0, level.height_px, rows):
            strip = Region(0, top, level.width_px, min(rows, level.height_px - top))
            digest.update(slide.read_region_masked(0, strip)[0].tobytes())
        return digest.hexdigest()[:32]
    paths = local_files(slide)
    if not paths:
        digest.update(slide.source.partition("?")[0].encode(errors="surrogateescape"))
    for path in paths:
        alone = path.is_file()
        for file in islice(_files_under(path), _MOST_FILES):
            length = file.stat().st_size
            digest.update(f"{file.name}\0{length}\0".encode(errors="surrogateescape"))
            with file.open("rb") as handle:
                digest.update(handle.read(_PROBE_BYTES if alone else _FOLDER_PROBE_BYTES))
                if alone and length > 2 * _PROBE_BYTES:
                    handle.seek(-_PROBE_BYTES, 2)
                    digest.update(handle.read())
    return digest.hexdigest()[:32]


def _files_under(path: Path) -> Iterator[Path]:
    """Yield files in a fixed order, one folder's names in memory at a time: a store can have millions."""
    if path.is_file():
        yield path
        return
    for item in sorted(path.iterdir(), key=lambda item: item.name):
        if item.is_file():
            yield item
        elif item.is_dir() and not item.is_symlink():
            yield from _files_under(item)


def differences(old: Json, new: Json, *, versions: bool = True) -> list[str]:
    """Return "key: was X, now Y" for every value that differs, nested keys joined by dots."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return [
        f"{key}: was {before.get(key, 'absent')}, now {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
        and (versions or not key.startswith(("versions.", "runtime.version")))
    ]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, str(list(value) if isinstance(value, tuple) else value)
