"""Slides with annotations, and regions as PNGs, as what a training reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from wsiseg.class_map import ClassMap
from wsiseg.datasets.apart import check_apart
from wsiseg.datasets.breast_regions import diagnosis_of, open_regions
from wsiseg.datasets.diagnosed_patches import DiagnosedPatches
from wsiseg.datasets.labelled_area import Case, Factor
from wsiseg.datasets.region_files import decode_regions
from wsiseg.datasets.slide_list import LabelledSlide, open_slide_list
from wsiseg.datasets.slide_patches import SlidePatches
from wsiseg.datasets.slide_regions import SlideRegions
from wsiseg.errors import UsageError, WsisegError
from wsiseg.evaluation.region_diagnosis import with_diagnosis
from wsiseg.slides.physical import resolve_mpp
from wsiseg.tiling.frame import check_resolution, frame_at
from wsiseg.training.config import RegionData, Sampling, SlideData, TrainConfig
from wsiseg.training.source_type import Source, model_mpp

Held = tuple[Sequence[Case], Sequence[Factor]]
"""Validation cases, and the resolution that the network sees each at."""


def slide_source(config: TrainConfig, data: SlideData) -> Source:
    """Open the slides of a run. Raises InputRefusedError or UsageError for what cannot be learnt from."""
    mpp = model_mpp(config)
    training = open_slide_list(data.train)
    cases = list(training)
    factors = [_factors(case, data.patch_mpp or (mpp,)) for case in cases]
    held: Held = ((), ())
    if data.validation is not None:
        found = open_slide_list(data.validation)
        _check_classes(training.classes, found.classes)
        others = list(found)
        check_apart(cases, others)
        held = others, [_factors(case, (mpp,))[0] for case in others]
    patients = len({case.group for case in cases})
    said = f"{len(cases)} annotated slides of {patients} patients (a slide where none is given)."
    return _source(config, data, (cases, factors), held, training.classes, said)


def region_source(config: TrainConfig, data: RegionData, folder: Path) -> Source:
    """Open the regions of a run, decoded into raw files below `folder`. Raises as `slide_source` does."""
    model_mpp(config)
    training = open_regions(data.train)
    cases = decode_regions(training, folder / "regions")
    scales = data.scales or (data.train.scale,)
    factors = [[(scale, scale) for scale in scales]] * len(cases)
    held: Held = ((), ())
    found = None
    if data.validation is not None:
        found = open_regions(data.validation)
        _check_classes(training.classes, found.classes)
        others = decode_regions(found, folder / "regions")
        check_apart(cases, others)
        held = others, [(data.validation.scale, data.validation.scale)] * len(others)
    kind = (
        "generated regions (phantoms), of no patient" if training.phantoms else "labelled regions of slides"
    )
    said = f"{len(cases)} {kind} ({training.split})."
    source = replace(
        _source(config, data, (cases, factors), held, training.classes, said), phantoms=training.phantoms
    )
    if config.joint is None:
        return source
    others_told = () if found is None else with_diagnosis(found, held, config.joint.diagnoses)
    return replace(
        source,
        patches=DiagnosedPatches(
            cast(SlidePatches, source.patches),
            [diagnosis_of(pair, config.joint.diagnoses) for pair in training.pairs],
        ),
        diagnosed=others_told,
        phantoms=training.phantoms or (found is not None and found.phantoms),
    )


def _source(
    config: TrainConfig,
    data: Sampling,
    learnt: tuple[Sequence[Case], Sequence[Sequence[Factor]]],
    held: Held,
    classes: ClassMap,
    said: str,
) -> Source:
    patches = SlidePatches(
        *learnt,
        classes,
        patch_px=data.patch_px,
        per_epoch=data.patches_per_epoch,
        stride_px=data.stride_px,
        balance=data.balance,
        seed=config.seed,
        augmentation=data.augment,
    )
    if held[0]:
        said += f" Checkpoints were chosen on {len(held[0])} others, of other patients."
    return Source(
        patches=patches,
        groups=[range(len(patches))],
        classes=classes,
        frequencies=patches.class_frequencies(),
        validation=SlideRegions(*held, classes) if held[0] else (),
        said=said,
        domain="slide",
    )


def _check_classes(training: ClassMap, validation: ClassMap) -> None:
    if [(item.id, item.name) for item in training.classes] != [
        (item.id, item.name) for item in validation.classes
    ]:
        raise UsageError("data.validation has other classes than data.train: give both the same class map")


def _factors(case: LabelledSlide, mpps: Sequence[float]) -> list[Factor]:
    with case.open() as slide:
        try:
            own = resolve_mpp(slide, case.slide_mpp)
            for mpp in mpps:
                check_resolution(own, mpp)
        except WsisegError as error:
            raise type(error)(f"{case.name}: {error}") from error
        return [frame_at(slide.levels[0], own, mpp).factor_l0 for mpp in mpps]
