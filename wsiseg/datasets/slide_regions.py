"""What is labelled of slides or regions, in windows with a margin: for validation between epochs."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from wsiseg.class_map import NOT_ANALYSED, ClassMap
from wsiseg.datasets.labelled_area import Case, Factor, OpenCases, survey
from wsiseg.datasets.pictures import Sample
from wsiseg.geometry import Region

WINDOW_PX = 1024
MARGIN_PX = 128
"""Context on each side that is predicted but not scored, as the halo of `wsiseg predict`."""


class SlideRegions:
    """The windows of a grid over each case that have something labelled, at one resolution each.

    A sample's labels are 255 in its margin, so the windows together have every labelled pixel once; a window
    that has but areas thinner than a coarse cell may be left out.
    """

    def __init__(self, cases: Sequence[Case], factors_l0: Sequence[Factor], classes: ClassMap) -> None:
        self._cases = OpenCases(cases)
        self.classes = classes
        self._windows: list[tuple[int, Factor, Region]] = []
        for number, (case, factor) in enumerate(zip(cases, factors_l0, strict=True)):
            area = survey(copy.copy(case), classes.ids, factor)
            row, column = np.divmod(area.every.astype(np.int64), area.columns)
            x = ((column + 0.5) * area.step_l0 / factor[0]).astype(np.int64)
            y = ((row + 0.5) * area.step_l0 / factor[1]).astype(np.int64)
            corners = np.unique(np.stack([x, y], axis=1) // WINDOW_PX, axis=0) * WINDOW_PX
            self._windows += [
                (number, factor, Region(int(left), int(top), WINDOW_PX, WINDOW_PX)) for left, top in corners
            ]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Sample:
        number, factor, window = self._windows[index]
        outer = window.grow(MARGIN_PX)
        rgb, labels = self._cases.read(number, factor, outer)
        scored = np.full_like(labels, NOT_ANALYSED)
        inside = window.slices_in(outer)
        scored[inside] = labels[inside]
        name = f"{self._cases.cases[number].name} at {window.x},{window.y} px"
        return Sample(rgb, scored, name)
