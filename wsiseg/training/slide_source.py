"""Slides with annotations as what a training reads."""

from __future__ import annotations

from collections.abc import Sequence

from wsiseg.datasets.labelled_area import Factor
from wsiseg.datasets.slide_list import LabelledSlide, SlideList, open_slide_list
from wsiseg.datasets.slide_patches import SlidePatches
from wsiseg.datasets.slide_regions import SlideRegions
from wsiseg.errors import UsageError, WsisegError
from wsiseg.slides.physical import resolve_mpp
from wsiseg.tiling.frame import check_resolution, frame_at
from wsiseg.training.config import SlideData, TrainConfig
from wsiseg.training.source_type import Regions, Source, model_mpp


def slide_source(config: TrainConfig, data: SlideData) -> Source:
    """Open the slides of a run. Raises InputRefusedError or UsageError for what cannot be learnt from."""
    mpp = model_mpp(config)
    training = open_slide_list(data.train)
    cases = list(training)
    patches = SlidePatches(
        cases,
        [_factors(case, data.patch_mpp or (mpp,)) for case in cases],
        training.classes,
        patch_px=data.patch_px,
        per_epoch=data.patches_per_epoch,
        stride_px=data.stride_px,
        balance=data.balance,
        seed=config.seed,
        augmentation=data.augment,
    )
    said = f"{len(cases)} annotated slides of {len({case.group for case in cases})} patients or slides."
    regions: Regions | tuple[()] = ()
    if data.validation is not None:
        held = open_slide_list(data.validation)
        check_apart(training, held)
        others = list(held)
        regions = SlideRegions(others, [_factors(case, (mpp,))[0] for case in others], held.classes)
        said += f" Checkpoints were chosen on {len(others)} slides of other patients."
    return Source(
        patches=patches,
        groups=[range(len(patches))],
        classes=training.classes,
        frequencies=patches.class_frequencies(),
        validation=regions,
        said=said,
        domain="slide",
    )


def check_apart(training: SlideList, validation: SlideList) -> None:
    """Raise UsageError where a slide or a patient is on both sides, or where the classes differ."""
    if training.classes.ids != validation.classes.ids:
        raise UsageError("data.validation has other classes than data.train: give both the same class map")
    for what, known, others in (
        ("slide", _paths(training), _paths(validation)),
        ("patient", {case.group for case in training}, {case.group for case in validation}),
    ):
        both = sorted(known & others)
        if both:
            raise UsageError(
                f"{what} {both[0]} is in training and in validation ({len(both)} such): "
                "split by patient, in the column `split` of the list"
            )


def _paths(slides: SlideList) -> set[str]:
    return {str(row.slide.resolve()) for row in slides.rows}


def _factors(case: LabelledSlide, mpps: Sequence[float]) -> list[Factor]:
    with case.open() as slide:
        try:
            own = resolve_mpp(slide, case.slide_mpp)
            for mpp in mpps:
                check_resolution(own, mpp)
        except WsisegError as error:
            raise type(error)(f"{case.name}: {error}") from error
        return [frame_at(slide.levels[0], own, mpp).factor_l0 for mpp in mpps]
