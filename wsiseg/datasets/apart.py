"""Training and validation kept apart: split by patient, never by patch, and nothing on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from wsiseg.errors import UsageError
from wsiseg.geometry import Region
from wsiseg.slides.slide import Slide

PROBE_PX = 1024
"""Side of the square that tells two slides apart, in the middle of the coarsest level."""


class Case(Protocol):
    """A slide or region with its truth."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    @property
    def group(self) -> str:
        """The patient, or the case itself where none is given."""

    def open(self) -> Slide:
        """Open its pixels."""


AnyCase = TypeVar("AnyCase", bound=Case)


def split_by_group(
    cases: Sequence[AnyCase], share: float, seed: int
) -> tuple[tuple[AnyCase, ...], tuple[AnyCase, ...]]:
    """Return (training, validation): about `share` of the groups, at least one, go to validation.

    Which ones depends on the seed and the groups' names alone, not on their order or on what else is listed.
    Raises UsageError where there are fewer than two groups.
    """
    groups = sorted(
        {case.group for case in cases}, key=lambda name: sha256(f"{seed}/{name}".encode()).digest()
    )
    if len(groups) < 2:
        raise UsageError(
            f"{len(cases)} cases of {len(groups)} patient: a split needs two patients or more; "
            "give a list of its own to validate on"
        )
    kept = set(groups[: min(len(groups) - 1, max(1, round(share * len(groups))))])
    return (
        tuple(case for case in cases if case.group not in kept),
        tuple(case for case in cases if case.group in kept),
    )


def check_apart(training: Sequence[Case], validation: Sequence[Case]) -> None:
    """Raise UsageError where a patient or a slide is on both sides: by its patient, its path or its pixels.

    A slide that was renamed, copied or wrapped into another format has the pixels of the other.
    """
    groups = {case.group for case in training}
    for case in validation:
        if case.group in groups:
            raise UsageError(
                f"{case.name}: patient or slide {case.group!r} is in training and in validation: "
                "scores would be too good; move it to one side"
            )
    known: dict[str, str] = {}
    for case in training:
        known.update(dict.fromkeys(_marks(case), case.name))
    for case in validation:
        same = next((known[mark] for mark in _marks(case) if mark in known), None)
        if same is not None:
            raise UsageError(
                f"{case.name} (validation) and {same} (training) are one slide: scores would be too good; "
                "leave it out on one side"
            )


def _marks(case: Case) -> tuple[str, str]:
    """Return what identifies a slide: where it is, and what its coarsest level looks like in the middle."""
    with case.open() as slide:
        level = len(slide.levels) - 1
        whole = slide.levels[level].region
        width, height = min(PROBE_PX, whole.width), min(PROBE_PX, whole.height)
        middle = Region((whole.width - width) // 2, (whole.height - height) // 2, width, height)
        pixels, unread = slide.read_region_masked(level, middle)
        digest = sha256(f"{slide.levels[0].width_px} {slide.levels[0].height_px}".encode())
        digest.update(pixels.tobytes() + unread.tobytes())
        return str(Path(slide.source).resolve()), digest.hexdigest()
