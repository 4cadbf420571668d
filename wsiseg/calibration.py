"""From a config to a calibrated model: the splits opened, kept apart, and handed to the fit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wsiseg.config import CalibrateConfig, Data
from wsiseg.datasets.catalogue import open_dataset
from wsiseg.datasets.pictures import PictureSet
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.calibrate import Calibration, Split, calibrate
from wsiseg.evaluation.labelled_logits import pixels_of_pictures
from wsiseg.evaluation.over_dataset import need_truth
from wsiseg.evaluation.whole_picture import PicturePredictor, channel_table, choose_device
from wsiseg.models import Model, ModelCard


@dataclass(frozen=True, slots=True)
class OpenSplit:
    """A split that is ready to be used."""

    split: Split
    members: dict[str, str]
    """What identifies a slide, a patient or a picture: how it is called in messages."""
    warnings: tuple[str, ...]


def calibrate_model(config: CalibrateConfig, model: Model) -> tuple[Calibration, tuple[str, ...]]:
    """Return what was fitted and measured, and the data sets' warnings.

    Raises InputRefusedError where the two splits share a slide, a patient or a picture.
    """
    device = choose_device(config.device)
    fit, test = (
        open_split(data, model, device, config.workers, config.model.rename)
        for data in (config.fit, config.test)
    )
    check_apart(fit.members, test.members)
    found = calibrate(
        model.card, fit.split, test.split, sample_px=config.sample_px, seed=config.seed, bins=config.bins
    )
    return found, (*fit.warnings, *test.warnings)


def check_apart(fit: dict[str, str], test: dict[str, str]) -> None:
    """Raise InputRefusedError where something is in both splits: its calibration would be flattered."""
    shared = sorted(fit.keys() & test.keys())
    if shared:
        pair = dict.fromkeys((fit[shared[0]], test[shared[0]]))
        raise InputRefusedError(
            f"fit and test share {len(shared)} of their slides, patients or pictures, first "
            f"{' = '.join(pair)}: give them different ones"
        )


def open_split(
    data: Data, model: Model, device: torch.device, workers: int, rename: dict[str, str]
) -> OpenSplit:
    """Open one split of a data set for this model."""
    pictures = open_dataset(data.dataset, data)
    need_truth(pictures)
    table = channel_table(model.card, pictures.classes, pictures.merged, rename)
    predict = PicturePredictor(model, device)
    return OpenSplit(
        Split(
            described=f"{len(pictures)} pictures of {pictures.dataset} {pictures.split}",
            pixels=pixels_of_pictures(predict, pictures, workers),
            channel_labels=channel_labels(model.card, table),
        ),
        _contents(pictures),
        pictures.warnings,
    )


def channel_labels(card: ModelCard, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what each channel of the logits stands for in a data set; `table` is its `channel_table`."""
    return table[[item.id for item in card.classes if item.predicted]]


def _contents(pictures: PictureSet) -> dict[str, str]:
    """Return the digests of the pictures' files: a copy under another name is the same picture."""
    return {_digest(item.image): item.name for item in pictures.items}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
