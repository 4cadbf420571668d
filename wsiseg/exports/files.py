"""Output files that appear whole or not at all."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wsiseg.errors import UsageError
from wsiseg.whole_files import appears_whole

NAMESPACE = uuid.UUID("5a1d1f0e-6a1c-5e0b-9d53-0b6f5f7a3c11")
"""Of the ids of exported objects (RFC 9562, version 5): the same store gives the same ids."""


@contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Give a file to write; it takes its name when the block ends without an error, else it is removed.

    A name that ends in .gz is packed, without a date: the same content gives the same bytes. Raises
    UsageError where the file exists and shall not be overwritten.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: use --overwrite or another -o")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give a file name with -o")
    path.parent.mkdir(parents=True, exist_ok=True)
    with appears_whole(path) as temporary, temporary.open("wb") as raw:
        if path.suffix.lower() == ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield raw
