"""Which slides have which annotations: a CSV file that says it, or the names in two folders."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from wsiseg.datasets.folders import MAX_LIST_BYTES, need_folder, need_some
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.slides import slide_id
from wsiseg.slides.physical import parse_mpp

COLUMNS = ("slide", "annotation", "patient", "slide_mpp", "split")
_NEEDED = COLUMNS[:2]
ANNOTATION_ENDS = (
    ".annotations.wsiseg.ome.zarr", ".corrections.wsiseg.ome.zarr", ".wsiseg.ome.zarr", ".ome.zarr", ".zarr",
    ".corrections.geojson", ".geojson.gz", ".geojson", ".json", ".xml", ".png", ".tiff", ".tif",
)  # fmt: skip
"""What may follow a slide's id in the name of its annotation."""


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One line of the list."""

    slide: Path
    annotation: Path
    patient: str | None
    slide_mpp: tuple[float, float] | None


def read_rows(path: Path, root: Path) -> list[tuple[SlideRow, str]]:
    """Return the rows of a list and their splits (empty: none). Raises InputRefusedError."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise InputRefusedError(f"{path}: is too large for a list of slides")
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in table.fieldnames or ()]
            table.fieldnames = columns
            if not set(_NEEDED) <= set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
                raise InputRefusedError(
                    f"{path}: has the columns {', '.join(columns)[:200] or 'none'}: expected slide, "
                    "annotation and, as needed, patient, slide_mpp, split"
                )
            return [_row(line, root, f"{path.name}, row {number}") for number, line in enumerate(table, 1)]
    except OSError as error:
        raise InputRefusedError(f"{path}: the list cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputRefusedError(f"{path}: is no CSV file in UTF-8: {error}") from error


def _row(line: dict[str | None, str | list[str] | None], root: Path, where: str) -> tuple[SlideRow, str]:
    values = {
        key: value.strip() for key, value in line.items() if isinstance(key, str) and isinstance(value, str)
    }
    if None in line or not values.get("slide") or not values.get("annotation"):
        raise InputRefusedError(
            f"{where}: expected a slide and an annotation, and no more cells than columns"
        )
    try:
        mpp = parse_mpp(values["slide_mpp"]) if values.get("slide_mpp") else None
    except UsageError as error:
        raise InputRefusedError(f"{where}: {error}") from error
    row = SlideRow(root / values["slide"], root / values["annotation"], values.get("patient") or None, mpp)
    return row, values.get("split", "")


def pair_by_name(root: Path, slides_in: str, annotations_in: str) -> list[SlideRow]:
    """Return the slides of a folder, each with the annotation of its id in another folder.

    Raises InputRefusedError for slides without one, or with several.
    """
    for given in (slides_in, annotations_in):
        if Path(given).is_absolute() or ".." in Path(given).parts:
            raise InputRefusedError(f"{given}: leads out of data.root; expected a name inside of it")
    slides = _visible(
        need_folder(root / slides_in, "expected the slides there, or data.list, or data.slides_in")
    )
    folder = need_folder(root / annotations_in, "expected the annotations there, or data.annotations_in")
    need_some(len(slides), root / slides_in, "slides")
    by_id: dict[str, list[Path]] = {}
    for path in _visible(folder):
        by_id.setdefault(_annotated_id(path.name), []).append(path)
    found = [(slide, by_id.get(slide_id(slide), [])) for slide in slides]
    alone = [slide for slide, fitting in found if not fitting]
    if alone:
        raise InputRefusedError(
            f"{folder}: has no annotation of {alone[0].name} ({len(alone)} of {len(slides)} slides): "
            f"expected {slide_id(alone[0])}.geojson or the like; or leave the slide out by a list"
        )
    for slide, fitting in found:
        if len(fitting) > 1:
            raise InputRefusedError(
                f"{folder}: {fitting[0].name} and {fitting[1].name} are both of {slide.name}: keep one"
            )
    return [SlideRow(slide, fitting[0], None, None) for slide, fitting in found]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _annotated_id(name: str) -> str:
    end = next((end for end in ANNOTATION_ENDS if name.lower().endswith(end)), "")
    return name[: len(name) - len(end)]
