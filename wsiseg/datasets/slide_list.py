"""Slides with annotations, by a list: whole slides and their truth, read when asked for."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.classes import label_values
from wsiseg.annotations.rasterise import AnnotationLayer, Overlap
from wsiseg.annotations.reading import read_annotations
from wsiseg.class_map import TISSUE8, ClassMap, read_class_map
from wsiseg.config import SlidesData
from wsiseg.datasets.folders import MAX_LIST_BYTES, need_all, need_root
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region
from wsiseg.slides import open_slide, slide_id
from wsiseg.slides.physical import parse_mpp
from wsiseg.slides.slide import Slide

COLUMNS = ("slide", "annotation", "patient", "slide_mpp", "split")
_NEEDED = COLUMNS[:2]


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One line of the list."""

    slide: Path
    annotation: Path
    patient: str | None
    slide_mpp: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class LabelledSlide:
    """A slide and its truth; the annotations are read when the first rectangle is asked for."""

    row: SlideRow
    classes: ClassMap
    overlap: Overlap
    ignored: tuple[str, ...]

    @property
    def name(self) -> str:
        """The slide's id."""
        return slide_id(self.row.slide)

    @property
    def group(self) -> str:
        """The patient; the slide itself where none is given."""
        return self.row.patient or self.name

    @property
    def slide_mpp(self) -> tuple[float, float] | None:
        """(x, y) um per level-0 pixel that overrides what the file says."""
        return self.row.slide_mpp

    def open(self) -> Slide:
        """Open the slide."""
        return open_slide(self.row.slide)

    def labels(self, region: Region, factor_l0: tuple[float, float]) -> NDArray[np.uint8]:
        """Return label ids (rows, columns) of a rectangle of a frame; 255 where no annotation is.

        `factor_l0` is (x, y) level-0 pixels per pixel of that frame. Raises InputRefusedError for annotations
        that are damaged, lie beside the slide or have unknown names.
        """
        return self._layer.rasterise(region, factor_l0)

    @cached_property
    def _layer(self) -> AnnotationLayer:
        with self.open() as slide:
            size_l0 = (slide.levels[0].width_px, slide.levels[0].height_px)
        areas = read_annotations(self.row.annotation, size_l0=size_l0)
        try:
            labels = label_values(areas, self.classes, self.ignored)
        except InputRefusedError as error:
            raise InputRefusedError(f"{self.row.annotation}: {error}; in a config, data.ignore") from error
        layer = AnnotationLayer(areas, labels, self.overlap)
        if not len(layer.touching(Region(0, 0, *size_l0), (1.0, 1.0))):
            raise InputRefusedError(
                f"annotation {self.row.annotation.name}: no area touches {self.name} of {size_l0[0]} x "
                f"{size_l0[1]} level-0 pixels: it belongs to another slide or another resolution"
            )
        return layer


@dataclass(frozen=True, slots=True)
class SlideList:
    """The slides of one split; iterating gives fresh ones, so that no annotations pile up."""

    rows: tuple[SlideRow, ...]
    classes: ClassMap
    split: str
    overlap: Overlap
    ignored: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[LabelledSlide]:
        for row in self.rows:
            yield LabelledSlide(row, self.classes, self.overlap, self.ignored)

    def check_annotations(self) -> None:
        """Read all annotations once: what is wrong with the last is said before the first is worked on."""
        for case in self:
            case.labels(Region(0, 0, 1, 1), (1.0, 1.0))


def open_slide_list(data: SlidesData) -> SlideList:
    """Open the slides of a config. Raises InputRefusedError or UsageError for what is missing."""
    need_root(data.root)
    classes = TISSUE8 if data.classes is None else read_class_map(data.root / data.classes)
    rows = _read_rows(data.root / data.list, data.root)
    chosen = tuple(row for row, split in rows if data.split in (None, split))
    if not chosen:
        found = ", ".join(sorted({split or "(empty)" for _, split in rows})) or "nothing"
        raise InputRefusedError(f"{data.list}: no row of the split {data.split!r}: its splits are {found}")
    missing = [row.slide for row in chosen if not row.slide.exists()]
    if missing:
        raise InputRefusedError(f"{missing[0]}: missing ({len(missing)} of {len(chosen)} slides)")
    need_all([row.annotation for row in chosen], "annotations")
    names = [slide_id(row.slide) for row in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputRefusedError(
            f"{data.list}: {twice[0]!r} stands there more than once: give each slide once"
        )
    return SlideList(chosen, classes, data.split or "all", data.overlap, data.ignore)


def _read_rows(path: Path, root: Path) -> list[tuple[SlideRow, str]]:
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
