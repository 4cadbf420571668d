"""The run record of a prediction: everything that a byte of its result depends on."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wsiseg.confidence import Calibration
from wsiseg.inference.runtime import RuntimeChoice
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.run_record import fingerprint, package_versions
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import Frame
from wsiseg.tiling.grid import TileGrid

if TYPE_CHECKING:
    from wsiseg.models import Model

RECORD_FORMAT = 2
CARD_TALK = {
    "scores", "scores_note", "licence", "source", "source_sha256", "training_data", "temperature",
    "temperature_note", "weights_sha256", "diagnosis",
}  # fmt: skip
"""Fields of a card that move no byte of the result; the others are part of the run record."""


def prediction_record(
    slide: Slide,
    model: Model,
    options: PredictOptions,
    choice: RuntimeChoice,
    frame: Frame,
    image_frame: Frame,
    grid: TileGrid,
    slide_mpp: tuple[float, float] | None,
    tissue: dict[str, Any],
    confidence: Calibration | None,
) -> dict[str, Any]:
    """Return everything that a byte of the result depends on, as JSON; `slide_mpp` is None for a photo."""
    card = model.card
    photo = slide_mpp is None
    roi = options.roi
    asked = {} if confidence is None else {"confidence": asdict(confidence)}
    return {
        "format": RECORD_FORMAT,
        "slide": {
            "name": slide.name,
            "backend": slide.backend,
            "width_px": slide.levels[0].width_px,
            "height_px": slide.levels[0].height_px,
            "mpp": None if slide_mpp is None else list(slide_mpp),
            "fingerprint": fingerprint(slide),
        },
        "model": {
            "name": card.name,
            "weights_sha256": card.weights_sha256 or model.weights_digest(),
            "card_sha256": hashlib.sha256(card.model_dump_json(exclude=CARD_TALK).encode()).hexdigest(),
            "domain": card.domain,
        },
        "runtime": asdict(choice),
        "label_mpp": None if photo else list(frame.mpp),
        "image_mpp": None if photo else list(image_frame.mpp),
        "tile_px": [grid.tile_width_px, grid.tile_height_px],
        "halo_px": grid.halo_px,
        "block_px": grid.block_px,
        "batch": 1,
        "tissue": tissue,
        "roi_l0": None if roi is None else [roi.x, roi.y, roi.width, roi.height],
        "ngff": options.ngff,
        **asked,
        "versions": package_versions(),
    }
