"""The figures of an evaluation as one JSON, and as a table to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsiseg.class_map import ClassMap
from wsiseg.config import EvaluateConfig
from wsiseg.datasets.pictures import PictureSet
from wsiseg.evaluation.bootstrap import Intervals
from wsiseg.evaluation.by_case import CasesEvaluation
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.over_dataset import Evaluation
from wsiseg.models.card import ModelCard

Json = dict[str, Any]


def describe(evaluation: Evaluation, pictures: PictureSet, card: ModelCard, config: EvaluateConfig) -> Json:
    """Return everything that was measured, and on what. Scores are 0 to 1; None where a class is absent."""
    return {
        "dataset": pictures.dataset,
        "split": pictures.split,
        "pictures": evaluation.pictures,
        "official_pictures": pictures.official_count,
        **_model(card),
        **_scores(evaluation.confusion, pictures.classes, pictures.categories),
        "worst": [{"name": case.name, "miou": case.mean_iou} for case in evaluation.worst],
        "warnings": list(evaluation.warnings),
        "config": _config(config),
    }


def describe_cases(
    evaluation: CasesEvaluation,
    classes: ClassMap,
    card: ModelCard,
    config: EvaluateConfig,
    *,
    split: str,
    runtime: Json | None,
) -> Json:
    """Return the same of slides or regions; with confidence intervals, and each case's own figures.

    `runtime` is what ran the network; None where results were there already.
    """
    return {
        "dataset": config.data.dataset,
        "split": split,
        "cases": len(evaluation.cases),
        **_model(card),
        "mpp": card.mpp,
        "runtime": runtime,
        **_scores(evaluation.confusion, classes, {}),
        "unread_px": sum(case.unread_px for case in evaluation.cases),
        "not_analysed_px": sum(case.not_analysed_px for case in evaluation.cases),
        "intervals": _intervals(evaluation.intervals, classes),
        "per_case": [
            {
                "name": case.name,
                "group": case.group,
                "miou": scores.mean_iou,
                "pixel_accuracy": scores.pixel_accuracy,
                "compared_px": scores.compared_px,
                "unread_px": case.unread_px,
                "not_analysed_px": case.not_analysed_px,
            }
            for case in evaluation.cases
            for scores in [case.confusion.scores()]
        ],
        "worst": [
            {
                "name": window.case,
                "x": window.region.x,
                "y": window.region.y,
                "width": window.region.width,
                "height": window.region.height,
                "wrong_px": window.wrong_px,
                "compared_px": window.compared_px,
            }
            for window in evaluation.worst
        ],
        "warnings": list(evaluation.warnings),
        "config": _config(config),
    }


def _model(card: ModelCard) -> Json:
    return {"model": card.name, "weights_sha256": card.weights_sha256, "input_scale": card.input_scale}


def _scores(confusion: Confusion, classes: ClassMap, categories: Mapping[str, tuple[int, ...]]) -> Json:
    names = [item.name for item in classes.classes]
    scores = confusion.scores()
    over_groups = confusion.grouped(list(categories.values())).scores() if categories else None
    return {
        "miou": scores.mean_iou,
        "category_miou": over_groups.mean_iou if over_groups else None,
        "pixel_accuracy": scores.pixel_accuracy,
        "mean_f1": scores.mean_f1,
        "frequency_weighted_iou": scores.frequency_weighted_iou,
        "per_class": dict(zip(names, scores.iou, strict=True)),
        "per_class_f1": dict(zip(names, scores.f1, strict=True)),
        "per_category": dict(zip(categories, over_groups.iou, strict=True)) if over_groups else {},
        "absent": [name for name, iou in zip(names, scores.iou, strict=True) if iou is None],
        "truth_px": dict(zip(names, scores.truth_px, strict=True)),
        "compared_px": scores.compared_px,
        "confusion": {"rows": "truth", "classes": names, "counts": confusion.counts[:, :-1].tolist()},
    }


def _intervals(found: Intervals | None, classes: ClassMap) -> Json | None:
    if found is None:
        return None
    names = [item.name for item in classes.classes]
    return {
        "method": "percentile bootstrap over groups (patients; where none are given, slides or regions)",
        "groups": found.groups,
        "resamples": found.resamples,
        "seed": found.seed,
        "level": found.level,
        "miou": found.mean_iou,
        "pixel_accuracy": found.pixel_accuracy,
        "mean_f1": found.mean_f1,
        "frequency_weighted_iou": found.frequency_weighted_iou,
        "per_class": dict(zip(names, found.iou, strict=True)),
        "per_class_f1": dict(zip(names, found.f1, strict=True)),
    }


def _config(config: EvaluateConfig) -> Json:
    """Return the config without its paths, which are those of one machine."""
    kept: Json = _without_paths(config.model_dump(exclude={"model": {"checkpoint"}}))
    return kept


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items() if not isinstance(item, Path)}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value if not isinstance(item, Path)]
    return value


def as_table(result: Json) -> str:
    """Return the scores as lines of text, in percent, with intervals where there are any."""
    width = max([len(name) for name in (*result["per_class"], *result["per_category"])] + [20])
    count = f"{result['pictures']} pictures" if "pictures" in result else f"{result['cases']} cases"
    intervals = result.get("intervals") or {}
    lines = [f"{result['model']} on {result['dataset']} {result['split']}, {count}", ""]
    lines.append(f"{'class':<{width}}  {'IoU':>6}  {'F1':>6}  {'truth':>6}")
    for name, iou in result["per_class"].items():
        share = result["truth_px"][name] / max(result["compared_px"], 1)
        f1 = result["per_class_f1"][name]
        said = _between(intervals.get("per_class", {}).get(name))
        lines.append(f"{name:<{width}}  {_percent(iou):>6}  {_percent(f1):>6}  {_percent(share):>6}{said}")
    if result["per_category"]:
        lines += ["", f"{'category':<{width}}  {'IoU':>6}"]
        lines += [f"{name:<{width}}  {_percent(iou):>6}" for name, iou in result["per_category"].items()]
    lines.append("")
    for title, key in (
        ("mean IoU", "miou"),
        ("mean IoU, categories", "category_miou"),
        ("pixel accuracy", "pixel_accuracy"),
        ("mean F1", "mean_f1"),
        ("IoU by frequency", "frequency_weighted_iou"),
    ):
        if key != "category_miou" or result["per_category"]:
            lines.append(f"{title:<{width}}  {_percent(result[key]):>6}{_between(intervals.get(key))}")
    if intervals:
        lines += [
            "",
            f"in brackets: {100 * intervals['level']:g} % intervals, {intervals['resamples']} bootstrap "
            f"draws of {intervals['groups']} groups, seed {intervals['seed']}",
        ]
    return "\n".join(lines)


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"  [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.2f}"
