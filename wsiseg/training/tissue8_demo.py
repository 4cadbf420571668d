"""Builds the bundled model: phantoms, two stages of training, measurement, card. `make model` runs it."""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wsiseg.class_map import TISSUE8
from wsiseg.datasets.phantom import PatchDataset, PhantomSet, cached
from wsiseg.evaluation.whole_image import score_pictures, segment_picture
from wsiseg.models import build_model
from wsiseg.training.config import TrainingConfig, read_training_config
from wsiseg.training.loop import EpochReport, Normalisation, seed_everything, train_stage
from wsiseg.training.losses import class_frequencies, class_weights

log = logging.getLogger(__name__)


def measure_normalisation(rgb: NDArray[np.uint8]) -> Normalisation:
    """Return mean and standard deviation of the pictures, to one decimal."""
    every = rgb[:, ::7, ::7].reshape(-1, 3).astype(np.float64)
    mean, std = every.mean(axis=0).round(1), every.std(axis=0).round(1)
    return Normalisation((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def train(config: TrainingConfig, folder: Path, workers: int) -> tuple[nn.Module, Normalisation]:
    """Return the trained network, in evaluation mode, and the normalisation that it was trained with."""
    torch.set_num_threads(config.threads)
    seed_everything(config.seed)
    data, ids = config.data, TISSUE8.ids
    rgb, labels = cached(
        PhantomSet(
            ranges="training",
            first_seed=data.train_seed,
            count=data.train_count,
            side_px=data.side_px,
            mpp=config.mpp,
        ),
        folder,
        workers,
    )
    held_rgb, held_labels = cached(
        PhantomSet(
            ranges="training",
            first_seed=data.validation_seed,
            count=data.validation_count,
            side_px=data.side_px,
            mpp=config.mpp,
        ),
        folder,
        workers,
    )
    normalisation = measure_normalisation(rgb)
    frequencies = class_frequencies(labels, ids)
    weights = class_weights(frequencies)
    log.info("class frequencies %s", frequencies.round(4).tolist())
    started = time.monotonic()

    def validate(network: nn.Module) -> float:
        pairs = zip(held_rgb, held_labels, strict=True)
        counts = score_pictures(
            lambda picture: segment_picture(network, normalisation.apply, picture, ids), pairs, ids
        )
        return float(counts.scores().mean_iou or 0.0)

    def report(row: EpochReport) -> None:
        log.info("%s", json.dumps({**asdict(row), "minutes": round((time.monotonic() - started) / 60, 1)}))

    network = build_model(config.network, num_classes=len(ids), **config.options)
    encoder = network.get_submodule("encoder")
    for name, part, stage, seed in (
        ("encoder", encoder, config.encoder, config.seed),
        ("whole", network, config.whole, config.seed + 1),
    ):
        patches = PatchDataset(
            rgb,
            labels,
            side_px=config.patch_px,
            per_epoch=config.patches_per_epoch,
            seed=seed,
            augmentation=config.augment,
        )
        best = train_stage(
            part,
            patches,
            name=name,
            stage=stage,
            batch=config.batch,
            weights=weights,
            ids=ids,
            normalisation=normalisation,
            weight_decay=config.weight_decay,
            bf16=config.precision == "bf16",
            seed=seed,
            validate=validate,
            report=report,
        )
        part.load_state_dict(best)
        torch.save(best, folder / f"{config.name}-{name}.pt")
    return network.eval(), normalisation


def main() -> None:
    """Train, measure, and write the model with its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/phantoms"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = read_training_config(given.config)
    _network, normalisation = train(config, given.cache, given.workers)
    log.info("done %s", normalisation)


if __name__ == "__main__":
    main()
