"""Training patches of regions, each with the diagnosis of its region."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from wsiseg.datasets.slide_patches import SlidePatches


class DiagnosedPatches(Dataset[tuple[Tensor, ...]]):
    """(uint8 (3, side, side) RGB, uint8 (side, side) label ids, int64 () diagnosis, counted from 0)."""

    def __init__(self, patches: SlidePatches, diagnoses: Sequence[int]) -> None:
        self._patches, self._diagnoses = patches, tuple(diagnoses)

    @property
    def epoch(self) -> int:
        """Another epoch takes other points."""
        return self._patches.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._patches.epoch = epoch

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        diagnosis = self._diagnoses[self._patches.case_of(index)]
        return *self._patches[index], torch.tensor(diagnosis)

    def describe(self, index: int) -> str:
        """Return the region and the place that patch `index` of this epoch comes from."""
        return self._patches.describe(index)
