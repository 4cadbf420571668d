"""CSV tables in the output of profilers, among banners and whatever the profiled program printed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from wsiseg.errors import InputRefusedError

MAX_BYTES = 256 << 20
SECONDS = {
    "s": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "msecond": 1e-3,
    "us": 1e-6,
    "usecond": 1e-6,
    "ns": 1e-9,
    "nsecond": 1e-9,
}


def read_profile(path: Path) -> str:
    """Return the text of a profiler's output. Raises InputRefusedError where it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputRefusedError(f"{path.name}: over {MAX_BYTES >> 20} MiB is too much for a profile")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputRefusedError(f"{path}: cannot be read: {error.strerror}") from error


def tables(text: str, *, headings: set[str]) -> Iterator[list[dict[str, str]]]:
    """Yield every table whose heading has these columns; it ends at a blank line, a banner, or a new heading.

    Rows with another number of cells than the heading are the profiled program's output: left out.
    """
    heading: list[str] | None = None
    rows: list[dict[str, str]] = []
    for line in text.splitlines():
        cells = _cells(line)
        if cells is not None and headings <= set(cells):
            if heading is not None:
                yield rows
            heading, rows = cells, []
        elif heading is None:
            continue
        elif not line.strip() or line.startswith("=="):
            # A blank line between the heading and the first row is a habit of some versions.
            if rows:
                yield rows
                heading, rows = None, []
        elif cells is not None and len(cells) == len(heading):
            rows.append(dict(zip(heading, cells, strict=True)))
    if heading is not None:
        yield rows


def number(text: str) -> float | None:
    """Return a number such as `45.73%`, `1,024` or `9.0e-03`; None for `n/a`, a blank, or nonsense."""
    text = text.strip().removesuffix("%").replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e300 else None  # neither inf nor nan


def _cells(line: str) -> list[str] | None:
    if "," not in line or len(line) > 20_000:
        return None
    try:
        return next(csv.reader([line], strict=True), None)
    except csv.Error:
        return None
