"""Measures a model on real crops whose scale is only assumed. Three crops show that it runs, not how well."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsiseg.class_map import TISSUE8
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.confusion import Confusion

BASE_MPP = 0.25
"""um per pixel at 40x; the last number of a crop's name is taken as the down-sampling from there."""
LEAST_TRUTH_PX = 1000
"""A class with fewer pixels of truth in a crop is not scored there."""
NOTE = "n = 3, anecdotal"


@dataclass(frozen=True, slots=True)
class CropScore:
    """One crop: its assumed mpp, and the IoU of each class that it has enough of."""

    name: str
    assumed_mpp: float
    iou: dict[str, float]
    truth_px: dict[str, int]


def assumed_mpp(name: str) -> float:
    """Return um per pixel from a crop's file name, `..._4.png` or `..._1.33.png`.

    Raises InputRefusedError where the name does not end in a number.
    """
    found = re.search(r"_(\d+(?:\.\d+)?)\.png$", name)
    if found is None or not float(found[1]) > 0:
        raise InputRefusedError(f"{name}: its name should end in _FACTOR.png; no scale can be assumed")
    return BASE_MPP * float(found[1])


def resample_by_area(rgb: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Return a picture whose sides are multiplied by `factor` (rounded), each pixel an area mean."""
    width, height = (max(1, round(side * factor)) for side in (rgb.shape[1], rgb.shape[0]))
    if (height, width) == rgb.shape[:2]:
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX))


def enlarge_labels(labels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return labels at another shape, by nearest neighbour."""
    rows = ((np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]).astype(np.intp)
    columns = ((np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]).astype(np.intp)
    return np.asarray(labels[np.ix_(rows, columns)])


def score_crop(
    path: Path, truth_path: Path, predict: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], mpp: float
) -> CropScore:
    """Score one crop at its own size; `predict` maps RGB at `mpp` um/px to TISSUE8 labels."""
    rgb = np.asarray(Image.open(path).convert("RGB"))
    truth = np.asarray(Image.open(truth_path))
    truth = truth[..., 0] if truth.ndim == 3 else truth
    if truth.shape != rgb.shape[:2]:
        raise InputRefusedError(f"{path.name} is {rgb.shape[:2]}, its label image {truth.shape}: must agree")
    scale = assumed_mpp(path.name)
    predicted = enlarge_labels(predict(resample_by_area(rgb, scale / mpp)), truth.shape)
    confusion = Confusion(TISSUE8.ids)
    confusion.add(truth, predicted)
    scores = confusion.scores()
    enough = [
        (item.name, iou, count)
        for item, iou, count in zip(TISSUE8.classes, scores.iou, scores.truth_px, strict=True)
        if count >= LEAST_TRUTH_PX and iou is not None
    ]
    return CropScore(
        path.stem, scale, {name: iou for name, iou, _ in enough}, {name: px for name, _, px in enough}
    )


def score_crops(
    folder: Path, predict: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], mpp: float
) -> list[CropScore]:
    """Score every crop of `folder`/rgb against the file of the same name in `folder`/label."""
    crops = sorted((folder / "rgb").glob("*.png"))
    if not crops:
        raise InputRefusedError(f"{folder}: holds no rgb/*.png; give the folder of the breast crops")
    return [score_crop(path, folder / "label" / path.name, predict, mpp) for path in crops]
