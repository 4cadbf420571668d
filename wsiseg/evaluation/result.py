"""The figures of an evaluation as one JSON, and as a table to read."""

from __future__ import annotations

from typing import Any

from wsiseg.config import EvaluateConfig
from wsiseg.datasets.pictures import PictureSet
from wsiseg.evaluation.over_dataset import Evaluation
from wsiseg.models.card import ModelCard

Json = dict[str, Any]


def describe(evaluation: Evaluation, pictures: PictureSet, card: ModelCard, config: EvaluateConfig) -> Json:
    """Return everything that was measured, and on what. Scores are 0 to 1; None where a class is absent."""
    names = [item.name for item in pictures.classes.classes]
    scores = evaluation.confusion.scores()
    groups = list(pictures.categories.values())
    over_groups = evaluation.confusion.grouped(groups).scores() if groups else None
    return {
        "dataset": pictures.dataset,
        "split": pictures.split,
        "pictures": evaluation.pictures,
        "official_pictures": pictures.official_count,
        "model": card.name,
        "weights_sha256": card.weights_sha256,
        "input_scale": card.input_scale,
        "miou": scores.mean_iou,
        "category_miou": over_groups.mean_iou if over_groups else None,
        "pixel_accuracy": scores.pixel_accuracy,
        "mean_f1": scores.mean_f1,
        "frequency_weighted_iou": scores.frequency_weighted_iou,
        "per_class": dict(zip(names, scores.iou, strict=True)),
        "per_class_f1": dict(zip(names, scores.f1, strict=True)),
        "per_category": dict(zip(pictures.categories, over_groups.iou, strict=True)) if over_groups else {},
        "absent": [name for name, iou in zip(names, scores.iou, strict=True) if iou is None],
        "truth_px": dict(zip(names, scores.truth_px, strict=True)),
        "compared_px": scores.compared_px,
        "confusion": {
            "rows": "truth",
            "classes": names,
            "counts": evaluation.confusion.counts[:, :-1].tolist(),
        },
        "worst": [{"name": case.name, "miou": case.mean_iou} for case in evaluation.worst],
        "warnings": list(evaluation.warnings),
        "config": config.model_dump(
            mode="json", exclude={"data": {"root", "extra"}, "model": {"checkpoint"}}
        ),
    }


def as_table(result: Json) -> str:
    """Return the scores as lines of text, in percent."""
    width = max([len(name) for name in (*result["per_class"], *result["per_category"])] + [20])
    lines = [f"{result['model']} on {result['dataset']} {result['split']}, {result['pictures']} pictures", ""]
    lines.append(f"{'class':<{width}}  {'IoU':>6}  {'F1':>6}  {'truth':>6}")
    for name, iou in result["per_class"].items():
        share = result["truth_px"][name] / max(result["compared_px"], 1)
        f1 = result["per_class_f1"][name]
        lines.append(f"{name:<{width}}  {_percent(iou):>6}  {_percent(f1):>6}  {_percent(share):>6}")
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
            lines.append(f"{title:<{width}}  {_percent(result[key]):>6}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.2f}"
