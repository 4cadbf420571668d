"""The diagnosis of a region: the mean over windows of what the network's second arm tells.

The publication (Mehta et al., MICCAI 2018) goes on from here to features of the segmentation and a second
classifier; that is not done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wsiseg.datasets.breast_regions import RegionList, diagnosis_of
from wsiseg.datasets.labelled_area import Case, Factor
from wsiseg.errors import UsageError
from wsiseg.geometry import Region
from wsiseg.models import Model
from wsiseg.models.card import DiagnosisCard
from wsiseg.models.normalise import Normalise
from wsiseg.models.ynet import YNetJoint
from wsiseg.slides.slide import RGB, Slide
from wsiseg.tiling.frame import Frame, FrameReader

LEAST_INSIDE = 0.25
"""Windows with a smaller part inside of the region are passed over, unless there is no other."""

Inside = Callable[[Region], NDArray[np.bool_]]
"""Which pixels of a window count, (rows, columns)."""


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What was told of one region."""

    probabilities: NDArray[np.float64]
    """(diagnoses,); the mean of the windows' softmax, each weighted by its pixels inside."""
    windows: int
    agreement: float
    """Share of the windows whose most probable diagnosis is the region's."""
    unread: int
    """Windows left out because a part of them could not be read."""

    @property
    def told(self) -> int:
        """Place of the most probable diagnosis."""
        return int(self.probabilities.argmax())


@dataclass(frozen=True, slots=True, eq=False)
class DiagnosedCase:
    """A labelled region, and its diagnosis, counted from 0."""

    case: Case
    factor_l0: Factor
    diagnosis: int


class Diagnoser:
    """The second arm of a network, asked window by window."""

    def __init__(self, model: Model, device: torch.device) -> None:
        """Raises UsageError for a network that tells no diagnosis."""
        self.card = diagnosis_card(model)
        network = model.network
        if not isinstance(network, YNetJoint):
            raise UsageError(
                f"model {model.card.name}: its network {model.card.architecture.name} has no diagnosis arm"
            )
        self._network = network.to(device).eval()
        self._normalise = Normalise(model.card).to(device)
        self._device = device

    def probabilities(self, window: RGB) -> NDArray[np.float64]:
        """Return (diagnoses,) float64 for a window (rows, columns, 3) uint8 RGB."""
        with torch.inference_mode():
            image = self._normalise(torch.from_numpy(np.ascontiguousarray(window)).to(self._device)[None])
            told = self._network.diagnose(image.contiguous())[0].double().softmax(dim=0)
        return np.asarray(told.cpu().numpy())

    def region(self, reader: FrameReader, area: Region, inside: Inside | None = None) -> Diagnosis | None:
        """Return the diagnosis of a rectangle of the reader's frame; None where no window of it can be read.

        `inside` leaves out what is in the rectangle but not in the region, or is no tissue.
        """
        side = self.card.window_px
        weights = {
            window: area.intersect(window).area
            if inside is None
            else int(inside(window.intersect(area)).sum())
            for window in windows_over(area, side)
        }
        enough = [window for window, weight in weights.items() if weight >= LEAST_INSIDE * side * side]
        if not enough:
            best = max(weights, key=lambda window: weights[window])
            enough = [best] if weights[best] else []
        told, kept, unread = [], [], 0
        for window in enough:
            rgb, missing = reader.read(window)
            if missing is not None and missing.any():
                unread += 1
                continue
            told.append(self.probabilities(rgb))
            kept.append(weights[window])
        if not told:
            return None
        mean = np.average(told, axis=0, weights=kept)
        same = float(np.mean(np.argmax(told, axis=1) == mean.argmax()))
        return Diagnosis(mean, len(told), same, unread)


def windows_over(area: Region, side: int) -> list[Region]:
    """Return as few squares as cover a rectangle, evenly spread; at least one, about its middle."""
    corners = []
    for start, length in ((area.x, area.width), (area.y, area.height)):
        count = max(1, math.ceil(length / side))
        room = length - side
        corners.append([start + round(room * (n / (count - 1) if count > 1 else 0.5)) for n in range(count)])
    return [Region(x, y, side, side) for y in corners[1] for x in corners[0]]


def whole_of(slide: Slide, factor_l0: Factor) -> FrameReader:
    """Return a reader of a picture so many times smaller, from its level 0."""
    level = slide.levels[0]
    width, height = (
        math.ceil(px / by - 1e-6) for px, by in zip((level.width_px, level.height_px), factor_l0, strict=True)
    )
    # The frame's mpp is not used for reading; a region in a PNG has none.
    frame = Frame(mpp=factor_l0, width_px=max(1, width), height_px=max(1, height), factor_l0=factor_l0)
    return FrameReader(slide, frame)


def diagnosis_counts(diagnoser: Diagnoser, cases: Sequence[DiagnosedCase]) -> NDArray[np.int64]:
    """Return counts (truth, told) over whole regions; what cannot be read is not counted."""
    counts = np.zeros((len(diagnoser.card.names),) * 2, np.int64)
    for item in cases:
        with item.case.open() as slide:
            reader = whole_of(slide, item.factor_l0)
            found = diagnoser.region(reader, Region(0, 0, reader.frame.width_px, reader.frame.height_px))
        if found is not None:
            counts[item.diagnosis, found.told] += 1
    return counts


def with_diagnosis(
    regions: RegionList, cases: tuple[Sequence[Case], Sequence[Factor]], names: Sequence[str]
) -> tuple[DiagnosedCase, ...]:
    """Return cases opened from a list, with its diagnoses. Raises InputRefusedError for one without."""
    return tuple(
        DiagnosedCase(case, factor, diagnosis_of(pair, names))
        for pair, case, factor in zip(regions.pairs, *cases, strict=True)
    )


def diagnosis_card(model: Model) -> DiagnosisCard:
    """Return what a model's second arm tells. Raises UsageError where it has none."""
    if model.card.diagnosis is None:
        raise UsageError(
            f"model {model.card.name} tells no diagnosis: take weights that were trained with `joint`, "
            "see configs/train_ynet.yaml"
        )
    return model.card.diagnosis
