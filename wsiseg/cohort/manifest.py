"""A cohort from a CSV file: one row per slide. The file is hostile until it has been read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsiseg.cohort.entry import MOST_SLIDES, CohortSlide, check_id
from wsiseg.errors import UsageError
from wsiseg.geometry import Region, parse_region
from wsiseg.slides import parse_mpp, slide_id
from wsiseg.slides.names import is_url

OWN_COLUMNS = ("slide", "id", "slide_mpp", "roi", "model", "skip")
MOST_COLUMNS = 200
LONGEST_LINE = 100_000
"""Characters; a row of a manifest is written by hand or exported from a table."""
NO = ("", "0", "no", "false")


def read_manifest(path: Path) -> list[CohortSlide]:
    """Return the slides of a CSV file with a header row (comma, semicolon or tab; UTF-8).

    Paths are relative to the manifest's folder. Raises UsageError, with the row, for what does not fit.
    """
    slides: list[CohortSlide] = []
    with _rows(path) as rows:
        header = [name.strip() for name in next(rows, [])]
        _check_header(path, header)
        for row, cells in enumerate(rows, 2):
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path.name}, row {row}"
            if len(cells) > len(header):
                raise UsageError(f"{where}: {len(cells)} cells, expected {len(header)} as in the header")
            if len(slides) == MOST_SLIDES:
                raise UsageError(f"{path.name}: more than {MOST_SLIDES:,} slides: split the manifest")
            values = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            slides.append(_slide(values, path.parent, where))
    if not slides:
        raise UsageError(f"{path.name}: no slide is listed: expected one row per slide below the header")
    return slides


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _lines(path, file)
            first = next(lines, "")
            delimiter = max(",;\t", key=first.count)

            def again() -> Iterator[str]:
                yield first
                yield from lines

            yield csv.reader(again(), delimiter=delimiter, strict=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}: give the path of a CSV file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name}: is not UTF-8 text: save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UsageError(f"{path.name}: is no CSV that can be read: {error}") from error


def _lines(path: Path, file: object) -> Iterator[str]:
    """Yield lines, never holding more than one of LONGEST_LINE characters."""
    while line := file.readline(LONGEST_LINE):  # type: ignore[attr-defined]
        if len(line) == LONGEST_LINE:
            raise UsageError(
                f"{path.name}: a line of more than {LONGEST_LINE:,} characters: expected a table"
            )
        if "\0" in line:
            raise UsageError(f"{path.name}: holds zero bytes: expected a CSV file")
        yield line


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) > MOST_COLUMNS:
        raise UsageError(f"{path.name}: {len(header)} columns: expected at most {MOST_COLUMNS}")
    if "slide" not in header:
        raise UsageError(
            f"{path.name}: no column slide in the first row ({', '.join(header)[:80]}): "
            f"expected a header such as slide,slide_mpp"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UsageError(f"{path.name}: column {twice[0]!r} is given twice: rename one")


def _slide(values: dict[str, str], folder: Path, where: str) -> CohortSlide:
    source = values.get("slide", "")
    if not source:
        raise UsageError(f"{where}: slide is empty: give the path of a slide")
    if not is_url(source):
        source = str(_expanded(folder, source, where))
    name = values.get("id") or slide_id(source)
    check_id(name, where)
    skip = values.get("skip", "")
    return CohortSlide(
        id=name,
        source=source,
        slide_mpp=_mpp(values.get("slide_mpp", ""), where),
        roi=_roi(values.get("roi", ""), where),
        model=_model(values.get("model", ""), folder),
        skip="" if skip.lower() in NO else f"the manifest says skip: {skip}",
        extra={key: text for key, text in values.items() if key and key not in OWN_COLUMNS},
    )


def _expanded(folder: Path, source: str, where: str) -> Path:
    try:
        return (folder / Path(source).expanduser()).absolute()
    except RuntimeError as error:
        raise UsageError(f"{where}: slide {source[:80]}: {error}; write the path out") from error


def _mpp(text: str, where: str) -> tuple[float, float] | None:
    try:
        return parse_mpp(text) if text else None
    except UsageError as error:
        raise UsageError(f"{where}: {error}".replace("--slide-mpp", "slide_mpp")) from error


def _roi(text: str, where: str) -> Region | None:
    try:
        return parse_region(text) if text else None
    except UsageError as error:
        raise UsageError(f"{where}: roi {error}") from error


def _model(text: str, folder: Path) -> str | None:
    """Return a bundled name as it is, a file from the manifest's folder on."""
    if not text:
        return None
    return str((folder / text).absolute()) if Path(text).suffix == ".safetensors" else text
