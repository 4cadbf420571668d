"""Copies of slides on a local disk while they are read: bounded, and swept when their process has died."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from wsiseg.run.run_record import local_path
from wsiseg.slides.names import is_dicom

FOLDER = "wsiseg-staging"
LOCK_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Where slides are copied to, and how much of it may be used."""

    folder: Path
    """A folder of that name is made in it for the copies; nothing else there is touched."""
    most_bytes: int
    """Of all copies together, of all processes that share the folder."""


@contextmanager
def staged(source: str, staging: Staging) -> Iterator[str]:
    """Give the path of a copy that exists as long as the block; the source itself where there is no room.

    A URL is read in place. The copy has the source's name, so the run record is the same.
    """
    original = local_path(source)
    if original is None or not original.exists():
        yield source
        return
    parts = _parts(original)
    needed = sum(_size(part) for part in parts)
    token = hashlib.sha256(f"{original.resolve()}\0{os.getpid()}".encode(errors="surrogateescape"))
    home = staging.folder / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    place = home / token.hexdigest()[:16]
    in_use = FileLock(f"{place}.lock", timeout=0)
    with FileLock(str(home / "lock"), timeout=LOCK_S):
        _sweep(home)
        room = min(staging.most_bytes - _reserved(home), shutil.disk_usage(home).free)
        fits = needed <= room
        if fits:
            in_use.acquire()
            place.mkdir()
            (place / "bytes").write_text(str(needed))
    if not fits:
        yield source
        return
    try:
        for part in parts:
            _copy(part, place / "slide" / part.relative_to(parts[0].parent))
        copy = place / "slide" / original.relative_to(parts[0].parent)
        yield str(copy)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        in_use.release()
        Path(in_use.lock_file).unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    """Return the files and folders that a slide is made of, the first one's folder holding them all."""
    if path.is_file() and is_dicom(path):
        return [path.parent]
    data = path.with_suffix("")
    return [path, data] if path.suffix.lower() == ".mrxs" and data.is_dir() else [path]


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _reserved(folder: Path) -> int:
    """Return the bytes that the copies of all processes take or will take."""
    total = 0
    for said in folder.glob("*/bytes"):
        try:
            total += int(said.read_text())
        except (OSError, ValueError):  # just removed, or never finished: the copy's own size counts
            total += _size(said.parent) if said.parent.is_dir() else 0
    return total


def _sweep(home: Path) -> None:
    """Remove copies whose process has died: the system has released their lock."""
    for place in home.iterdir():
        if not place.is_dir():
            continue
        lock = FileLock(f"{place}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        shutil.rmtree(place, ignore_errors=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
