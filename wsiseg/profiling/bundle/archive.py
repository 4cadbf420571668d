"""The archive that a device sent back, read in memory: it is other people's input, and is never unpacked."""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from pathlib import Path

from wsiseg.errors import InputRefusedError
from wsiseg.models.card import plain

MAX_ARCHIVE = 64 << 20
MAX_FILE = 64 << 20
MAX_TOTAL = 256 << 20
MAX_FILES = 200
NAME = re.compile(
    r"run\.json|bundle\.json|tegrastats\.log|sysfs\.jsonl|nvprof-(?:times|metrics)-[A-Za-z0-9][A-Za-z0-9._-]*\.csv"
)


def read_archive(path: Path) -> dict[str, str]:
    """Return the text of every file of an archive, by name.

    Raises InputRefusedError for anything but plain files with the names that the runner gives, in sizes that
    it could have written.
    """
    try:
        if path.stat().st_size > MAX_ARCHIVE:
            raise InputRefusedError(f"{path.name}: over {MAX_ARCHIVE >> 20} MiB is no archive of the runner")
        data = path.read_bytes()
    except OSError as error:
        raise InputRefusedError(f"{path}: cannot be read: {error.strerror}") from error
    found: dict[str, str] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as archive:
            for member in archive:
                if not member.isreg() or not NAME.fullmatch(member.name) or member.name in found:
                    raise InputRefusedError(
                        f"{path.name}: holds {plain(member.name, 100)!r}, which the runner does not write"
                    )
                total += member.size
                if member.size > MAX_FILE or total > MAX_TOTAL or len(found) >= MAX_FILES:
                    raise InputRefusedError(f"{path.name}: unpacks to more than the runner writes: not read")
                content = archive.extractfile(member)
                found[member.name] = content.read().decode("utf-8", "replace") if content is not None else ""
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputRefusedError(f"{path.name}: is no whole results archive: {plain(str(error))}") from error
    for name in ("run.json", "bundle.json"):
        if name not in found:
            raise InputRefusedError(f"{path.name}: has no {name}: is it what run.py left on the device?")
    return found
