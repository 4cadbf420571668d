"""What a run was made with: resolved once, stored with the result, and compared by every resume."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Json = dict[str, Any]

VERSIONED = ("wsiseg", "numpy", "zarr", "tifffile", "imagecodecs", "openslide-python", "openslide-bin")
"""Packages whose version can move a byte of the result; the runtime's own stands beside it in the record."""

_PROBE_BYTES = 1 << 20


def package_versions() -> dict[str, str]:
    """Return the installed version of each package in VERSIONED."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def fingerprint(path: Path) -> str | None:
    """Return a short digest of a slide: sizes of its files, and both ends of each of them.

    It recognises another file under the same name without reading gigabytes. None for what is not on
    a local disk.
    """
    if not path.exists():
        return None
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    for file in files[:10_000]:
        length = file.stat().st_size
        digest.update(f"{file.name}\0{length}\0".encode())
        with file.open("rb") as handle:
            digest.update(handle.read(_PROBE_BYTES if len(files) == 1 else 4096))
            if len(files) == 1 and length > 2 * _PROBE_BYTES:
                handle.seek(-_PROBE_BYTES, 2)
                digest.update(handle.read())
    return digest.hexdigest()[:32]


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
