"""The diagnosis of named regions of a slide, added to a finished result's summary. Nothing depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import Annotation
from wsiseg.annotations.geojson import read_geojson
from wsiseg.annotations.rasterise import inside_of
from wsiseg.errors import UsageError
from wsiseg.evaluation.diagnosis_over_list import DEMO_NOTE, diagnosis_key
from wsiseg.evaluation.region_diagnosis import Diagnoser, Diagnosis
from wsiseg.evaluation.whole_picture import choose_device
from wsiseg.exports.files import whole_file
from wsiseg.geometry import Region
from wsiseg.models import Model, ModelCard
from wsiseg.models.card import plain
from wsiseg.run.plan import RunPlan, make_plan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult
from wsiseg.slides import open_slide
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import FrameReader

FEW_WINDOWS = 4
DISAGREEING = 0.6
"""Below this share of windows that agree with their region, its remarks say so."""
MOST_REGIONS = 1000
"""In one file: regions are drawn by people."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedRegion:
    """A region to diagnose, in level-0 pixels."""

    name: str
    box_l0: Region
    outline: Annotation | None = None
    """None: the whole box."""


def regions_of(options: PredictOptions, file: Path | None) -> list[NamedRegion]:
    """Return the regions of a GeoJSON file, else the region of interest; none without either."""
    if file is not None:
        found = [_named(number, item) for number, item in enumerate(read_geojson(file), 1)]
        if len(found) > MOST_REGIONS:
            raise UsageError(f"{file.name}: has {len(found):,} regions: expected at most {MOST_REGIONS:,}")
        return found
    return [] if options.roi is None else [NamedRegion("region of interest", options.roi)]


def add_diagnosis(
    result: SlideResult, source: str, options: PredictOptions, regions: list[NamedRegion]
) -> SlideResult:
    """Tell a diagnosis for each region and write it into the summary; return the result with that summary.

    `options.model` is a loaded model that has a diagnosis arm. With weights that learnt from phantoms, the
    summary's key is `diagnosis_demo`. Raises UsageError for a region beyond the slide.
    """
    if not isinstance(options.model, Model):
        raise UsageError("options.model: expected a loaded model")
    diagnoser = Diagnoser(options.model, choose_device("cpu" if options.device == "auto" else options.device))
    with open_slide(source) as slide:
        for region in regions:
            _check_inside(region, slide)
        plan = make_plan(slide, options.model, options)
        reader = FrameReader(slide, plan.frame)
        told = [_told(diagnoser, reader, plan, region) for region in regions]
    card = diagnoser.card
    summary = {
        key: value for key, value in result.summary.items() if key not in ("diagnosis", "diagnosis_demo")
    }
    summary[diagnosis_key(card.demo)] = {
        "model": options.model.card.name,
        "weights_sha256": options.model.card.weights_sha256,
        "names": list(card.names),
        "regions": told,
        "note": reliability(options.model.card),
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    with whole_file(result.summary_path, overwrite=True) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))
    return replace(result, summary=summary)


def reliability(card: ModelCard) -> str:
    """Return what the reader of a diagnosis must know of it."""
    if card.diagnosis is None:
        return ""
    said = [
        f"Mean over windows of {card.diagnosis.window_px} px; the probabilities are not calibrated.",
        _measured(card),
        DEMO_NOTE if card.diagnosis.demo else "",
        "Not for diagnostic use.",
    ]
    return " ".join(part for part in said if part)


def _measured(card: ModelCard) -> str:
    validation: Any = card.scores.get("validation")
    scores: Any = validation.get("diagnosis") if isinstance(validation, dict) else None
    if not isinstance(scores, dict) or not isinstance(scores.get("accuracy"), int | float):
        return "How often it is right was not measured."
    kind = "generated regions" if card.diagnosis is not None and card.diagnosis.demo else "regions"
    told = (
        f"{100 * scores['accuracy']:.0f} % of the {scores.get('cases')} {kind} that its epoch was chosen on"
    )
    return f"It told {told} right; on others it is rather less."


def _told(diagnoser: Diagnoser, reader: FrameReader, plan: RunPlan, region: NamedRegion) -> dict[str, Any]:
    area = plan.frame.from_l0(region.box_l0).intersect(
        Region(0, 0, plan.frame.width_px, plan.frame.height_px)
    )
    found = diagnoser.region(reader, area, _inside(plan, region))
    names = diagnoser.card.names
    box = region.box_l0
    return {
        "name": region.name,
        "box_l0": [box.x, box.y, box.width, box.height],
        "probabilities": None
        if found is None
        else {name: round(float(p), 4) for name, p in zip(names, found.probabilities, strict=True)},
        "most_probable": None if found is None else names[found.told],
        "windows": 0 if found is None else found.windows,
        "agreement": None if found is None else round(found.agreement, 3),
        "remarks": _remarks(found),
    }


def _remarks(found: Diagnosis | None) -> list[str]:
    if found is None:
        return ["no window of it has tissue that could be read: nothing is told"]
    remarks = []
    if found.windows < FEW_WINDOWS:
        remarks.append(f"only {found.windows} of its windows were looked at")
    if found.agreement < DISAGREEING:
        remarks.append(
            f"its windows disagree: {100 * found.agreement:.0f} % say what the region is said to be"
        )
    if found.unread:
        remarks.append(f"{found.unread} windows were left out, as a part of them could not be read")
    return remarks


def _inside(plan: RunPlan, region: NamedRegion) -> Callable[[Region], NDArray[np.bool_]]:
    """Return which pixels of a rectangle of the frame lie in the region and have tissue."""
    whole = Region(0, 0, plan.frame.width_px, plan.frame.height_px)

    def inside(window: Region) -> NDArray[np.bool_]:
        window = window.intersect(whole)
        if not window.area:
            return np.zeros((0, 0), bool)
        mask = plan.tissue.pixels(window)
        if region.outline is not None:
            mask = mask & inside_of(region.outline, window, plan.frame.factor_l0)
        return mask

    return inside


def _named(number: int, item: Annotation) -> NamedRegion:
    low, high = np.floor(item.exterior.min(0)).astype(int), np.ceil(item.exterior.max(0)).astype(int)
    box = Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    return NamedRegion(plain(f"{number}: {item.name}"), box, item)


def _check_inside(region: NamedRegion, slide: Slide) -> None:
    level = slide.levels[0]
    if not region.box_l0.intersect(level.region).area:
        box = region.box_l0
        raise UsageError(
            f"region {region.name} at {box.x},{box.y} has no pixel of the slide's {level.width_px} x "
            f"{level.height_px} level-0 pixels: are these regions of this slide?"
        )
