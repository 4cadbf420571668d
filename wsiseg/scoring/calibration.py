"""From a config to a calibrated model: the splits opened, kept apart, and handed to the fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wsiseg.config import CalibrateConfig, Data, RegionsData, SlidesData
from wsiseg.datasets.breast_regions import open_regions
from wsiseg.datasets.catalogue import open_dataset
from wsiseg.datasets.slide_list import open_slide_list
from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.calibrate import Calibration, Split, calibrate
from wsiseg.evaluation.labelled_logits import LabelledPixels, pixels_of_case, pixels_of_pictures
from wsiseg.evaluation.over_dataset import need_truth
from wsiseg.evaluation.region_case import decoded_region
from wsiseg.evaluation.tiled_logits import TiledLogits
from wsiseg.evaluation.whole_picture import PicturePredictor, channel_table, choose_device
from wsiseg.models import Model, ModelCard
from wsiseg.run.plan import make_plan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.scoring.case_evaluation import region_logits
from wsiseg.scoring.slide_evaluation import COARSEST_IMAGE_MPP
from wsiseg.slides import slide_id

PROBE_BYTES = 1 << 20


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
    if isinstance(data, SlidesData):
        return _slides(data, model, device, rename)
    if isinstance(data, RegionsData):
        return _regions(data, model, device, rename)
    pictures = open_dataset(data.dataset, data)
    need_truth(pictures)
    table = channel_table(model.card, pictures.classes, pictures.merged, rename)
    where = data.root.resolve().name
    described = f"{len(pictures)} pictures of {pictures.dataset} {pictures.split} in {where}"
    return OpenSplit(
        Split(
            described=described,
            pixels=pixels_of_pictures(PicturePredictor(model, device), pictures, workers),
            channel_labels=channel_labels(model.card, table),
        ),
        {content_digest(item.image): item.name for item in pictures.items},
        pictures.warnings,
    )


def _slides(data: SlidesData, model: Model, device: torch.device, rename: dict[str, str]) -> OpenSplit:
    slides = open_slide_list(data)
    slides.check_annotations()
    table = channel_table(model.card, slides.classes, {}, rename)

    def pixels() -> Iterator[LabelledPixels]:
        for case in slides:
            with case.open() as slide:
                options = PredictOptions(
                    model=model, slide_mpp=case.slide_mpp, tissue="none", image_mpp=COARSEST_IMAGE_MPP
                )
                plan = make_plan(slide, model, options)
                factor_l0, grid = plan.frame.factor_l0, plan.grid
                tiled = TiledLogits(
                    model,
                    device,
                    slide,
                    plan.frame,
                    tile_px=max(grid.tile_width_px, grid.tile_height_px),
                    halo_px=grid.halo_px,
                    upsampled=False,
                )
                yield from pixels_of_case(tiled, partial(case.labels, factor_l0=factor_l0))

    members = {content_digest(row.slide): slide_id(row.slide) for row in slides.rows}
    members |= {f"patient {row.patient}": f"patient {row.patient}" for row in slides.rows if row.patient}
    described = f"{len(slides)} slides of {data.root.resolve().name}/{data.list}, split {slides.split}"
    return OpenSplit(
        Split(described=described, pixels=pixels(), channel_labels=channel_labels(model.card, table)),
        members,
        (),
    )


def _regions(data: RegionsData, model: Model, device: torch.device, rename: dict[str, str]) -> OpenSplit:
    regions = open_regions(data)
    table = channel_table(model.card, regions.classes, {}, rename)

    def pixels() -> Iterator[LabelledPixels]:
        for pair in regions.pairs:
            with decoded_region(pair.image, pair.labels, regions.values) as region:
                yield from pixels_of_case(region_logits(model, device, region, data.scale), region.labels)

    members = {content_digest(pair.image): pair.name for pair in regions.pairs}
    if data.patient_until is not None:
        members |= {f"patient {pair.group}": f"patient {pair.group}" for pair in regions.pairs}
    described = f"{len(regions)} regions of {data.root.resolve().name}/{data.list}"
    return OpenSplit(
        Split(described=described, pixels=pixels(), channel_labels=channel_labels(model.card, table)),
        members,
        (),
    )


def channel_labels(card: ModelCard, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what each channel of the logits stands for in a data set; `table` is its `channel_table`."""
    return table[[item.id for item in card.classes if item.predicted]]


def content_digest(path: Path) -> str:
    """Return what is the same for copies of a file under other names: its length and both ends.

    Of a slide that is a folder, its place.
    """
    if not path.is_file():
        return str(path.resolve())
    length = path.stat().st_size
    digest = hashlib.sha256(str(length).encode())
    with path.open("rb") as file:
        digest.update(file.read(PROBE_BYTES))
        file.seek(max(0, length - PROBE_BYTES))
        digest.update(file.read(PROBE_BYTES))
    return digest.hexdigest()
