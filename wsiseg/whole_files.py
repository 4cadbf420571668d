"""Files that appear whole or not at all; what a killed writer left goes with the next write of its file."""

from __future__ import annotations

import os
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appears_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, under a name that no other living process uses.

    When the block ends without an error, the file is forced to the disk and takes its name; else it is
    removed. Leftovers of writers of the same file that were killed are removed first.
    """
    _sweep(path)
    temporary = path.with_name(f"{_prefix(path)}{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    """Return what the temporary names of a file begin with on this machine; the process's number follows."""
    return f".{path.name}.{zlib.crc32(socket.gethostname().encode()):08x}-"


def _sweep(path: Path) -> None:
    """Remove temporary files of `path` whose process, of this machine, has died."""
    if os.name == "nt":  # signal 0 would end the process that is asked for
        return
    left = re.compile(re.escape(_prefix(path)) + r"(\d{1,9})\.partial")
    for other in path.parent.iterdir():
        found = left.fullmatch(other.name)
        if found and not _is_alive(int(found[1])):
            other.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
