"""Slides with annotations, by a list: whole slides and their truth, read when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.classes import label_values
from wsiseg.annotations.rasterise import AnnotationLayer, Overlap
from wsiseg.annotations.reading import read_annotations
from wsiseg.class_map import TISSUE8, ClassMap, read_class_map
from wsiseg.config import SlidesData
from wsiseg.datasets.apart import split_by_group
from wsiseg.datasets.folders import need_all, need_root
from wsiseg.datasets.slide_rows import SlideRow, pair_by_name, read_rows
from wsiseg.errors import InputRefusedError, UsageError, choose
from wsiseg.geometry import Region
from wsiseg.label_layer import ZarrLayer
from wsiseg.slides import open_slide, resolve_mpp, slide_id
from wsiseg.slides.label_zarr import LabelZarr, is_zarr, open_label_zarr
from wsiseg.slides.slide import Slide


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
        if not is_zarr(self.row.annotation):
            return self._layer.rasterise(region, factor_l0)
        store, size_l0, mpp = self._store
        try:
            layer = ZarrLayer(store, self.classes, self.ignored, size_l0, mpp, factor_l0)
            return layer.rasterise(region, factor_l0)
        except InputRefusedError as error:
            raise InputRefusedError(f"{self.row.annotation}: {error}; in a config, data.ignore") from error

    @cached_property
    def _store(self) -> tuple[LabelZarr, tuple[int, int], tuple[float, float]]:
        """The labels, the slide's size, and its um per level-0 pixel."""
        with self.open() as slide:
            size_l0 = (slide.levels[0].width_px, slide.levels[0].height_px)
            return open_label_zarr(self.row.annotation), size_l0, resolve_mpp(slide, self.slide_mpp)

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
    classes = renamed(classes, data.rename)
    if data.list is None:
        where = f"{data.root / data.slides_in}"
        rows = [(row, "") for row in pair_by_name(data.root, data.slides_in, data.annotations_in)]
    else:
        where = data.list
        rows = read_rows(data.root / data.list, data.root)
    chosen = tuple(row for row, split in rows if data.split in (None, split) or data.validation_share)
    if not chosen:
        found = ", ".join(sorted({split or "(empty)" for _, split in rows})) or "nothing"
        raise InputRefusedError(f"{where}: no row of the split {data.split!r}: its splits are {found}")
    missing = [row.slide for row in chosen if not row.slide.exists()]
    if missing:
        raise InputRefusedError(f"{missing[0]}: missing ({len(missing)} of {len(chosen)} slides)")
    need_all([row.annotation for row in chosen if not is_zarr(row.annotation)], "annotations")
    names = [slide_id(row.slide) for row in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputRefusedError(f"{where}: {twice[0]!r} stands there more than once: give each slide once")
    slides = SlideList(chosen, classes, data.split or "all", data.overlap, data.ignore)
    if data.validation_share is None:
        return slides
    if any(split for _, split in rows):
        raise InputRefusedError(f"{where}: has splits, but data.validation_share is given: keep one of them")
    return _share(slides, data.split, data.validation_share, data.split_seed)


def _share(slides: SlideList, split: str | None, share: float, seed: int) -> SlideList:
    """Return the training or the validation part; patients are never divided."""
    if split is None:
        return slides
    parts = split_by_group(tuple(slides), share, seed)
    return replace(slides, rows=tuple(case.row for case in parts[split == "val"]))


def renamed(classes: ClassMap, names: Mapping[str, str | None]) -> ClassMap:
    """Return a class map that knows more annotation names; None stands for names that are left out.

    Raises UsageError for a class that is not there.
    """
    known = {item.name for item in classes.classes}
    for name in names.values():
        if name is not None and name not in known:
            raise UsageError(choose("class in data.rename", name, known))
    more = {
        item.name: tuple(key for key, name in names.items() if name == item.name) for item in classes.classes
    }
    return ClassMap(
        classes=tuple(
            item.model_copy(update={"annotation_names": (*item.annotation_names, *more[item.name])})
            for item in classes.classes
        ),
        ignored_names=(*classes.ignored_names, *(key for key, name in names.items() if name is None)),
    )
