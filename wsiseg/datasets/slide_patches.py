"""Training patches from labelled slides or regions, read from them when asked for.

A patch depends on (seed, epoch, index) alone, so an epoch is the same for any number of workers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from wsiseg.class_map import ClassMap
from wsiseg.datasets.augment import Augment, augment
from wsiseg.datasets.labelled_area import Case, Factor, LabelledArea, OpenCases, survey
from wsiseg.errors import UsageError
from wsiseg.geometry import Region

Balance = Literal["none", "class", "region"]
Place = tuple[int, Factor, Region]
"""Case, the factor of a frame over it, and a rectangle of that frame."""


class SlidePatches(Dataset[tuple[Tensor, Tensor]]):
    """(uint8 (3, side, side) RGB, uint8 (side, side) label ids, 255 ignored).

    Either `per_epoch` patches around random labelled points, or, with `stride_px`, those of a grid that have
    something labelled. `factors_l0` are each case's resolutions, one of them at random (in a grid, each).
    Balance of the random points: `none` takes every labelled area alike, `class` every class, `region`
    every case.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        factors_l0: Sequence[Sequence[Factor]],
        classes: ClassMap,
        *,
        patch_px: int,
        per_epoch: int,
        stride_px: int | None,
        balance: Balance,
        seed: int,
        augmentation: Augment | None,
    ) -> None:
        if not cases:
            raise UsageError("no slides to train on")
        self._cases = OpenCases(cases)
        self._factors, self._classes = [list(factors) for factors in factors_l0], classes
        self._patch_px, self._balance, self._seed = patch_px, balance, seed
        self._augmentation = augmentation
        # Copies: what a case reads of its annotations goes with them.
        self._areas = [
            survey(copy.copy(case), classes.ids, min(factors))
            for case, factors in zip(cases, self._factors, strict=True)
        ]
        self._every = [area.every for area in self._areas]
        weights = [
            [len(area.cells.get(label, ())) * _cell_px(area, factors) for label in classes.ids]
            for area, factors in zip(self._areas, self._factors, strict=True)
        ]
        self._area_px = np.asarray(weights, np.float64)  # (cases, classes), in pixels of the first frame
        self._grid = None if stride_px is None else self._grid_places(stride_px)
        self._per_epoch = per_epoch if self._grid is None else len(self._grid)
        self.epoch = 0
        """Another epoch takes other points (a grid: other augmentation)."""

    def __len__(self) -> int:
        return self._per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, self.epoch, index))
        rgb, labels = self._cases.read(*self._place(index, rng))
        if self._augmentation is not None:
            rgb, labels = augment(rgb, labels, self._augmentation, rng)
        return (
            torch.from_numpy(np.array(rgb.transpose(2, 0, 1), order="C")),
            torch.from_numpy(np.array(labels, order="C")),
        )

    def describe(self, index: int) -> str:
        """Return the slide and the place that patch `index` of this epoch comes from."""
        rng = np.random.default_rng((self._seed, self.epoch, index))
        number, factor, region = self._place(index, rng)
        x, y = round(region.x * factor[0]), round(region.y * factor[1])
        return f"{self._cases.cases[number].name} at level-0 {x},{y}"

    def case_of(self, index: int) -> int:
        """Return the number of the case that patch `index` of this epoch comes from."""
        return self._place(index, np.random.default_rng((self._seed, self.epoch, index)))[0]

    def class_frequencies(self) -> NDArray[np.float64]:
        """Return each class's share of the labelled area of all cases, in the classes' order."""
        area = self._area_px.sum(axis=0)
        return np.asarray(area / area.sum())

    def _place(self, index: int, rng: np.random.Generator) -> Place:
        if self._grid is not None:
            return self._grid[index]
        number, cell = self._point(rng)
        factor = self._factors[number][int(rng.integers(len(self._factors[number])))]
        area, side = self._areas[number], self._patch_px
        # The point lies anywhere in the middle half of the patch.
        x, y = (
            round(middle / along - side / 2 + float(rng.uniform(-side / 4, side / 4)))
            for middle, along in zip(area.centre_l0(cell), factor, strict=True)
        )
        return number, factor, Region(x, y, side, side)

    def _point(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return a case and one of its labelled cells."""
        if self._balance == "class":
            present = np.flatnonzero(self._area_px.sum(axis=0))
            column = int(rng.choice(present))
            share = self._area_px[:, column]
            number = int(rng.choice(len(share), p=share / share.sum()))
            cells = self._areas[number].cells[self._classes.ids[column]]
        else:
            share = self._area_px.sum(axis=1) if self._balance == "none" else np.ones(len(self._areas))
            number = int(rng.choice(len(share), p=share / share.sum()))
            cells = self._every[number]
        return number, int(cells[int(rng.integers(len(cells)))])

    def _grid_places(self, stride_px: int) -> list[Place]:
        places: list[Place] = []
        for number, (area, factors) in enumerate(zip(self._areas, self._factors, strict=True)):
            row, column = np.divmod(self._every[number].astype(np.int64), area.columns)
            for factor in factors:
                x = ((column + 0.5) * area.step_l0 / factor[0]).astype(np.int64)
                y = ((row + 0.5) * area.step_l0 / factor[1]).astype(np.int64)
                corners = np.unique(np.stack([x // stride_px, y // stride_px], axis=1), axis=0) * stride_px
                side = self._patch_px
                places += [(number, factor, Region(int(a), int(b), side, side)) for a, b in corners]
        return places


def _cell_px(area: LabelledArea, factors: Sequence[Factor]) -> float:
    return area.step_l0**2 / (factors[0][0] * factors[0][1])
