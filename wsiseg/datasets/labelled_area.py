"""Where a slide or region is labelled, and with what: a coarse map, and cases that are opened when needed."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import Frame, FrameReader

CELL_PX = 8
"""Side of a coarse cell, in pixels of the finest patches, where the slide is not too large for that."""
MAX_CELLS = 1_000_000
"""Cells of a coarse map: bounds its memory for slides of any size."""
OPEN_AT_ONCE = 8
"""Slides that one process keeps open, with their annotations."""

Factor = tuple[float, float]
"""(x, y) level-0 pixels per pixel of a frame."""


class Case(Protocol):
    """A slide, or a region of one, and its truth."""

    @property
    def name(self) -> str:
        """For messages."""

    def open(self) -> Slide:
        """Open its pixels."""

    def labels(self, region: Region, factor_l0: Factor) -> NDArray[np.uint8]:
        """Return label ids (rows, columns) of a rectangle of a frame; 255 where nobody labelled."""


@dataclass(frozen=True, slots=True)
class LabelledArea:
    """The labelled cells of one case, by class."""

    step_l0: float
    """Side of a cell in level-0 pixels."""
    columns: int
    cells: dict[int, NDArray[np.uint32]]
    """Label id -> flat indices of the cells whose middle has it."""

    def centre_l0(self, cell: int) -> tuple[float, float]:
        """Return the middle (x, y) of a cell in level-0 pixels."""
        row, column = divmod(cell, self.columns)
        return (column + 0.5) * self.step_l0, (row + 0.5) * self.step_l0

    @property
    def every(self) -> NDArray[np.uint32]:
        """All labelled cells."""
        return np.sort(np.concatenate(list(self.cells.values()))) if self.cells else np.zeros(0, np.uint32)


def survey(case: Case, ids: Sequence[int], finest: Factor) -> LabelledArea:
    """Look at a case's labels coarsely; areas thinner than a cell may be missed.

    Raises InputRefusedError for labels that are none of `ids`, or that are nowhere.
    """
    with case.open() as slide:
        width, height = slide.levels[0].width_px, slide.levels[0].height_px
    step = max(CELL_PX * min(finest), math.sqrt(width * height / MAX_CELLS), 1.0)
    columns, rows = max(1, math.ceil(width / step)), max(1, math.ceil(height / step))
    labels = case.labels(Region(0, 0, columns, rows), (step, step)).ravel()
    found = set(np.flatnonzero(np.bincount(labels, minlength=256)).tolist())
    strange = sorted(label for label in found - set(ids) if label < NOT_ANALYSED - 1)
    if strange:
        raise InputRefusedError(
            f"{case.name}: is labelled {strange[0]}, which is no class; is this the right class map?"
        )
    cells = {label: np.flatnonzero(labels == label).astype(np.uint32) for label in ids if label in found}
    if not cells:
        raise InputRefusedError(f"{case.name}: nothing in it is labelled with any class; leave it out")
    return LabelledArea(step, columns, cells)


class OpenCases:
    """Reads pixels and labels of cases; each process opens its own, a few at a time."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = tuple(cases)
        self._open: OrderedDict[int, tuple[Case, Slide]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"cases": self.cases, "_open": OrderedDict()}  # handles do not go to other processes

    def read(
        self, number: int, factor_l0: Factor, region: Region
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return RGB (rows, columns, 3) and labels of a rectangle of the case's frame of that factor.

        What could not be decoded is labelled 255: it is neither learnt from nor scored.
        """
        case, slide = self._opened(number)
        level_0 = slide.levels[0]
        frame = Frame(
            mpp=factor_l0,  # not used for reading
            width_px=max(1, math.ceil(level_0.width_px / factor_l0[0] - 1e-6)),
            height_px=max(1, math.ceil(level_0.height_px / factor_l0[1] - 1e-6)),
            factor_l0=factor_l0,
        )
        rgb, unread = FrameReader(slide, frame).read(region)
        labels = case.labels(region, factor_l0)
        if unread is not None:
            labels = np.where(unread, np.uint8(NOT_ANALYSED), labels)
        return rgb, labels

    def _opened(self, number: int) -> tuple[Case, Slide]:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= OPEN_AT_ONCE:
            _, (_, slide) = self._open.popitem(last=False)
            slide.close()
        case = copy.copy(self.cases[number])  # its annotations go when it is closed
        self._open[number] = case, case.open()
        return self._open[number]
