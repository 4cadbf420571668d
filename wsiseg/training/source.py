"""From the `data` of a config to what the loop reads: patches, validation regions, and what they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import TISSUE8
from wsiseg.datasets.catalogue import open_dataset
from wsiseg.datasets.phantom import PatchDataset, PhantomSet, cached
from wsiseg.datasets.picture_patches import PicturePatches, check_apart
from wsiseg.datasets.pictures import PictureSet, Sample
from wsiseg.errors import UsageError
from wsiseg.training.config import PhantomData, PictureData, RegionData, SlideData, TrainConfig
from wsiseg.training.loader import Patches
from wsiseg.training.slide_source import region_source, slide_source
from wsiseg.training.source_type import Source, model_mpp

MEASURED_PATCHES = 256
"""Patches that mean and standard deviation are measured on."""


def open_source(config: TrainConfig, folder: Path) -> Source:
    """Open the data of a run; `folder` is the run's own, for what is to be kept there."""
    if isinstance(config.data, PictureData):
        return _pictures(config, config.data)
    if isinstance(config.data, SlideData):
        return slide_source(config, config.data)
    if isinstance(config.data, RegionData):
        return region_source(config, config.data, folder)
    return _phantoms(config, config.data, folder)


def _pictures(config: TrainConfig, data: PictureData) -> Source:
    training = open_dataset(data.train.dataset, data.train)
    patches = PicturePatches(
        training,
        sizes_px=data.sizes_px,
        smallest_crop=data.smallest_crop,
        flip=data.flip,
        seed=config.seed,
    )
    validation: PictureSet | tuple[()] = ()
    said = f"{len(training)} pictures of {training.dataset} {training.split}."
    warnings = training.warnings
    if data.validation is not None:
        validation = open_dataset(data.validation.dataset, data.validation)
        check_apart(training, validation)
        if validation.classes.ids != training.classes.ids:
            raise UsageError("data.validation has other classes than data.train: give data of one kind")
        said += f" Checkpoints were chosen on {len(validation)} pictures of {validation.split}."
        warnings += validation.warnings
    return Source(
        patches=patches,
        groups=patches.groups(),
        classes=training.classes,
        frequencies=patches.class_frequencies(),
        validation=validation,
        said=said,
        domain="photo",
        warnings=warnings,
    )


class PhantomRegions:
    """Stacked pictures, in memory or mapped, as validation regions."""

    def __init__(self, rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        self._rgb, self._labels = rgb, labels

    def __len__(self) -> int:
        return len(self._rgb)

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.array(self._rgb[index]), np.array(self._labels[index]), f"phantom {index}")


def phantom_pictures(
    data: PhantomData, mpp: float, which: str, folder: Path, workers: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the phantoms for `train` or `validation` (of the training ranges), or the `held-out` ones."""
    ranges, first_seed, count = {
        "train": ("training", data.train_seed, data.train_count),
        "validation": ("training", data.validation_seed, data.validation_count),
        "held-out": ("held-out", data.held_out_seed, data.held_out_count),
    }[which]
    wanted = PhantomSet(ranges=ranges, first_seed=first_seed, count=count, side_px=data.side_px, mpp=mpp)
    return cached(wanted, data.cache or folder / "phantoms", workers)


def _phantoms(config: TrainConfig, data: PhantomData, folder: Path) -> Source:
    mpp = model_mpp(config)
    rgb, labels = phantom_pictures(data, mpp, "train", folder, max(1, config.workers))
    patches = PatchDataset(
        rgb,
        labels,
        side_px=data.patch_px,
        per_epoch=data.patches_per_epoch,
        seed=config.seed,
        augmentation=data.augment,
        scales=tuple(patch_mpp / mpp for patch_mpp in data.patch_mpp) or (1.0,),
    )
    return Source(
        patches=patches,
        groups=[range(len(patches))],
        classes=TISSUE8,
        frequencies=class_frequencies(labels, TISSUE8.ids),
        validation=PhantomRegions(*phantom_pictures(data, mpp, "validation", folder, max(1, config.workers))),
        said=(
            f"{data.train_count} generated phantoms of {data.side_px} x {data.side_px} px (seeds "
            f"{data.train_seed} and up, TRAINING_RANGES) and nothing else: no patient's tissue. "
            f"Checkpoints were chosen on {data.validation_count} other phantoms of the same ranges."
        ),
        domain="slide",
    )


def class_frequencies(labels: Iterable[NDArray[np.uint8]], ids: tuple[int, ...]) -> NDArray[np.float64]:
    """Return each class's share of the labelled pixels, in the order of `ids`.

    Raises UsageError for labels that hold no pixel of any class.
    """
    counts = np.zeros(256, np.int64)
    for picture in labels:
        counts += np.bincount(np.ravel(picture), minlength=256)
    chosen = counts[list(ids)]
    if not chosen.sum():
        raise UsageError(f"no pixel is labelled with any of {ids}: nothing to train on")
    return np.asarray(chosen / chosen.sum())


def measure_normalisation(patches: Patches) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel over patches as training sees them, in grey levels."""
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for index in np.linspace(0, len(patches) - 1, min(len(patches), MEASURED_PATCHES)).astype(int):
        rgb = patches[int(index)][0].numpy().reshape(3, -1).astype(np.float64)
        total += rgb.sum(axis=1)
        squares += (rgb**2).sum(axis=1)
        pixels += rgb.shape[1]
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    return tuple(mean.round(1).tolist()), tuple(std.round(1).tolist())
