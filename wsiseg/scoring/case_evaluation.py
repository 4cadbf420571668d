"""From a config to the scores of slides or regions: the data set opened, its cases scored one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch

from wsiseg.class_map import ClassMap
from wsiseg.config import EvaluateConfig, RegionsData, SlidesData
from wsiseg.datasets.breast_regions import open_regions
from wsiseg.datasets.slide_list import open_slide_list
from wsiseg.errors import UsageError
from wsiseg.evaluation.by_case import CasesEvaluation, EvaluateCases
from wsiseg.evaluation.region_case import LabelledRegion, RegionCase, decoded_region
from wsiseg.evaluation.tiled_logits import TiledLogits, whole_frame
from wsiseg.evaluation.whole_picture import channel_table, choose_device, never_predicted
from wsiseg.models import Model
from wsiseg.run.plan import HALO_PX, TILE_PX
from wsiseg.scoring.slide_evaluation import SlideEvaluator

Report = Callable[[int, int], None]
"""Called with (cases done, cases in all)."""


@dataclass(frozen=True, slots=True)
class ScoredCases:
    """What came out, and of what."""

    evaluation: CasesEvaluation
    classes: ClassMap
    split: str
    runtime: dict[str, Any] | None
    """What ran the network; None where results were there already."""


def evaluate_cases(config: EvaluateConfig, model: Model, report: Report | None = None) -> ScoredCases:
    """Score a model on the slides or regions of a config. Raises WsisegError, in one line."""
    if config.submission:
        raise UsageError(f"submission is true, but {config.data.dataset} has no server: leave it out")
    if isinstance(config.data, SlidesData):
        return _slides(config, config.data, model, report)
    if isinstance(config.data, RegionsData):
        return _regions(config, config.data, model, report)
    raise UsageError(f"{config.data.dataset} is a set of pictures, not of slides or regions")


def region_logits(model: Model, device: torch.device, region: LabelledRegion, scale: float) -> TiledLogits:
    """Return the logits of a region at its full resolution; the network sees it `scale` times smaller."""
    return TiledLogits(
        model,
        device,
        region.slide,
        whole_frame(region.slide, scale),
        tile_px=model.card.tile_px or TILE_PX,
        halo_px=HALO_PX if model.card.halo_px is None else model.card.halo_px,
    )


def _limit_warning(config: EvaluateConfig, count: int) -> list[str]:
    if config.limit is None or config.limit >= count:
        return []
    return [f"only the first {config.limit} of {count} cases: for trying things, not for comparing"]


def _slides(config: EvaluateConfig, data: SlidesData, model: Model, report: Report | None) -> ScoredCases:
    slides = open_slide_list(data)
    slides.check_annotations()
    evaluator = SlideEvaluator(model, slides.classes, config)
    evaluator.warnings += _limit_warning(config, len(slides))
    for number, case in enumerate(islice(slides, config.limit), 1):
        evaluator.add(case)
        if report is not None:
            report(number, min(len(slides), config.limit or len(slides)))
    runtime = None if evaluator.choice is None else asdict(evaluator.choice)
    return ScoredCases(evaluator.result(), slides.classes, slides.split, runtime)


def _regions(config: EvaluateConfig, data: RegionsData, model: Model, report: Report | None) -> ScoredCases:
    if config.predictions is not None:
        raise UsageError("predictions: results are of slides; leave it out for breast-regions")
    regions = open_regions(data)
    table = channel_table(model.card, regions.classes, {}, config.model.rename)
    labels = table[[item.id for item in model.card.classes if item.predicted]]
    device = choose_device(config.device)
    total = EvaluateCases(regions.classes.ids, worst_windows=config.worst_cases)
    warnings = _limit_warning(config, len(regions))
    silent = never_predicted(table, model.card, regions.classes)
    if silent:
        warnings.append(f"the model has no channel for {', '.join(silent)}: it cannot be right there")
    if model.card.mpp is not None:
        warnings.append(
            f"the model works at {model.card.mpp} um per pixel; the regions have no physical size and are "
            f"taken at 1/{data.scale:g} of theirs (data.scale)"
        )
    pairs = regions.pairs[: config.limit]
    for number, pair in enumerate(pairs, 1):
        with decoded_region(pair.image, pair.labels, regions.values) as region:
            logits = region_logits(model, device, region, data.scale)
            total.add(RegionCase(pair.name, pair.group, region, logits, labels))
        if report is not None:
            report(number, len(pairs))
    given = config.bootstrap
    evaluation = total.result(
        seed=given.seed, resamples=given.resamples, level=given.level, warnings=warnings
    )
    runtime = {"name": "torch", "precision": "fp32", "device": device.type}
    return ScoredCases(evaluation, regions.classes, regions.split, runtime)
