"""The diagnosis arm of a network, scored on the regions of a list that gives diagnoses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wsiseg.config import EvaluateConfig, RegionsData
from wsiseg.datasets.breast_regions import open_regions
from wsiseg.datasets.region_files import decode_regions
from wsiseg.evaluation.diagnosis_scores import DiagnosisScores
from wsiseg.evaluation.region_diagnosis import Diagnoser, diagnosis_counts, with_diagnosis
from wsiseg.evaluation.whole_picture import choose_device
from wsiseg.models import Model

DEMO_NOTE = (
    "It learnt from generated tissue (phantoms): this shows that the software works, and says nothing "
    "about a patient."
)


def diagnosis_key(demo: bool) -> str:
    """Return what a result calls the diagnosis: with weights of phantoms it has another name."""
    return "diagnosis_demo" if demo else "diagnosis"


def evaluate_diagnosis(config: EvaluateConfig, data: RegionsData, model: Model) -> dict[str, Any] | None:
    """Return accuracy, confusion and each diagnosis' sensitivity and specificity over whole regions.

    None where the list gives no diagnosis at all. Raises InputRefusedError where it gives some, but not for
    every region, and UsageError for a model without a diagnosis arm.
    """
    diagnoser = Diagnoser(model, choose_device(config.device))
    names = diagnoser.card.names
    regions = open_regions(data)
    if not any(pair.diagnosis for pair in regions.pairs):
        return None
    regions = replace(regions, pairs=regions.pairs[: config.limit])
    with TemporaryDirectory(prefix="wsiseg-") as folder:
        cases = decode_regions(regions, Path(folder))
        factors = [(data.scale, data.scale)] * len(cases)
        counts = diagnosis_counts(diagnoser, with_diagnosis(regions, (cases, factors), names))
    return {
        "regions": len(regions),
        **DiagnosisScores(counts).by_name(names),
        "names": list(names),
        "confusion": counts.tolist(),
        "confusion_axes": "rows: the list's diagnosis, columns: the network's",
        "note": "One diagnosis per region, the mean over its windows."
        + (f" {DEMO_NOTE}" if diagnoser.card.demo else ""),
    }


def as_lines(found: dict[str, Any], key: str) -> str:
    """Return the scores as text for a terminal."""
    lines = [f"{key}: {found['cases']} regions, accuracy {_shown(found['accuracy'])}"]
    lines += [
        f"  {name}: sensitivity {_shown(found['sensitivity'][name])}, "
        f"specificity {_shown(found['specificity'][name])}, told as {row}"
        for name, row in zip(found["names"], found["confusion"], strict=True)
    ]
    return "\n".join([*lines, found["note"]])


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
