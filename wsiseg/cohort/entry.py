"""One slide of a cohort: where it is, what its results are called, and what is special about it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from wsiseg.errors import UsageError
from wsiseg.geometry import Region

STATE_FOLDER = "wsiseg-batch"
RESERVED_IDS = (STATE_FOLDER, "index.html", "results.csv", "results.parquet")
"""What a batch writes beside the slides' folders."""
LONGEST_ID = 150
"""Bytes: longer names, with the endings of the results, are more than file systems take."""
MOST_SLIDES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSlide:
    """One slide of a cohort, as its manifest or its folder says."""

    id: str
    """Name of its results and of their folder."""
    source: str
    """Path or URL."""
    slide_mpp: tuple[float, float] | None = None
    """(x, y) um per level-0 pixel, where the file lacks it or is wrong."""
    roi: Region | None = None
    """Level-0 rectangle to analyse."""
    model: str | None = None
    """Bundled name or file; None takes the batch's."""
    skip: str = ""
    """Why it is left out on purpose; empty where it is not."""
    extra: dict[str, str] = field(default_factory=dict)
    """Other columns of the manifest, carried through to the results."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CohortSlide:
        """Return what `as_json` made. Raises TypeError or ValueError for anything else."""
        mpp, roi = values["slide_mpp"], values["roi"]
        slide = cls(
            **{
                **values,
                "slide_mpp": None if mpp is None else (float(mpp[0]), float(mpp[1])),
                "roi": None if roi is None else Region(**roi),
            }
        )
        check_id(slide.id, slide.source)
        return slide


def check_id(name: str, where: str) -> None:
    """Raise UsageError for an id that is no plain, printable file name or that a batch needs itself."""
    plain = (
        name not in ("", ".", "..")
        and name.isprintable()
        and name == name.strip()
        and not set(name) & set('/\\:*?"<>|')
        and not name.startswith(".")
    )
    if not plain:
        raise UsageError(f"{where}: the id {name!r} is no plain file name: give one without folders")
    if len(name.encode()) > LONGEST_ID:
        raise UsageError(
            f"{where}: the id {name[:40]!r}... has more than {LONGEST_ID} bytes: give a shorter one"
        )
    if _folded(name) in RESERVED_IDS:
        raise UsageError(f"{where}: the id {name!r} is the name of a file of the batch: give another")


def check_distinct(slides: Iterable[CohortSlide]) -> None:
    """Raise UsageError where two slides would be written into one folder, on any file system."""
    seen: dict[str, CohortSlide] = {}
    for slide in slides:
        other = seen.setdefault(_folded(slide.id), slide)
        if other is not slide:
            raise UsageError(
                f"{other.source} and {slide.source} would both be written to {slide.id}: "
                f"give them ids of their own in a manifest (column id)"
            )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
