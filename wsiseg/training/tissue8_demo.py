"""Builds the bundled model: phantoms, two stages of training, measurement, card. `make model` runs it."""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wsiseg.class_map import TISSUE8
from wsiseg.datasets.phantom import PatchDataset, PhantomSet, cached
from wsiseg.errors import UsageError, WsisegError
from wsiseg.evaluation.whole_image import score_pictures, segment_picture
from wsiseg.models import ModelCard, build_model, save_model
from wsiseg.models.files import BUNDLED
from wsiseg.models.network import SegmentationNetwork
from wsiseg.training.card_page import render
from wsiseg.training.config import TrainingConfig, read_training_config
from wsiseg.training.loop import EpochReport, Normalisation, seed_everything, train_stage
from wsiseg.training.losses import class_frequencies, class_weights
from wsiseg.training.tissue8_card import WARNING, bare_card, measure, predictor

log = logging.getLogger(__name__)

Stacks = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""(count, rows, columns, 3) RGB and (count, rows, columns) labels."""


def measure_normalisation(rgb: NDArray[np.uint8]) -> Normalisation:
    """Return mean and standard deviation of the pictures, to one decimal."""
    every = rgb[:, ::7, ::7].reshape(-1, 3).astype(np.float64)
    mean, std = every.mean(axis=0).round(1).tolist(), every.std(axis=0).round(1).tolist()
    return Normalisation((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def phantom_pictures(config: TrainingConfig, which: str, folder: Path, workers: int) -> Stacks:
    """Return the phantoms for training or validation (both of the training ranges), or the held-out ones."""
    data = config.data
    ranges, first_seed, count = {
        "train": ("training", data.train_seed, data.train_count),
        "validation": ("training", data.validation_seed, data.validation_count),
        "held-out": ("held-out", data.held_out_seed, data.held_out_count),
    }[which]
    wanted = PhantomSet(
        ranges=ranges, first_seed=first_seed, count=count, side_px=data.side_px, mpp=config.mpp
    )
    return cached(wanted, folder, workers)


def train(config: TrainingConfig, folder: Path, workers: int) -> tuple[SegmentationNetwork, Normalisation]:
    """Return the trained network, in evaluation mode, and the normalisation that it was trained with.

    The best state of each stage is kept in `folder`.
    """
    torch.set_num_threads(config.threads)
    seed_everything(config.seed)
    ids = TISSUE8.ids
    rgb, labels = phantom_pictures(config, "train", folder, workers)
    seen = phantom_pictures(config, "validation", folder, workers)
    normalisation = measure_normalisation(rgb)
    frequencies = class_frequencies(labels, ids)
    weights = class_weights(frequencies)
    log.info("class frequencies %s", frequencies.round(4).tolist())
    started = time.monotonic()

    def validate(network: nn.Module) -> float:
        counts = score_pictures(
            lambda picture: segment_picture(network, normalisation.apply, picture, ids),
            zip(*seen, strict=True),
            ids,
        )
        return float(counts.scores().mean_iou or 0.0)

    def report(row: EpochReport) -> None:
        log.info("%s", json.dumps({**asdict(row), "minutes": round((time.monotonic() - started) / 60, 1)}))

    network = build_model(config.network, num_classes=len(ids), **config.options)
    for name, part, stage, seed in (
        ("encoder", network.get_submodule("encoder"), config.encoder, config.seed),
        ("whole", network, config.whole, config.seed + 1),
    ):
        patches = PatchDataset(
            rgb,
            labels,
            side_px=config.patch_px,
            per_epoch=config.patches_per_epoch,
            seed=seed,
            augmentation=config.augment,
            first_epoch=100_000 * seed,
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
            validate=validate,
            report=report,
            keep=partial(torch.save, f=folder / f"{config.name}-{name}.pt"),
        )
        part.load_state_dict(best)
    return network.eval(), normalisation


def finish(
    config: TrainingConfig,
    network: SegmentationNetwork,
    normalisation: Normalisation,
    folder: Path,
    workers: int,
    crops: Path | None,
) -> ModelCard:
    """Measure the network, write it with its card, and return the card."""
    card = bare_card(config, normalisation)
    pictures = {
        which: list(zip(*phantom_pictures(config, which, folder, workers), strict=True))
        for which in ("train", "validation", "held-out")
    }
    scores, note = measure(
        predictor(network, card),
        config.mpp,
        training=pictures["train"],
        validation=pictures["validation"],
        held_out=pictures["held-out"],
        crops=crops,
    )
    return card.model_copy(update={"scores": scores, "scores_note": note})


def main() -> None:
    """Train, measure, and write the model with its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=BUNDLED, help="folder of the model")
    parser.add_argument("--cache", type=Path, default=Path("build/phantoms"), help="folder of the phantoms")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw phantoms")
    parser.add_argument("--crops", type=Path, help="real crops (rgb/, label/) to measure on, and only that")
    parser.add_argument("--page", type=Path, help="Markdown page of the card to write")
    parser.add_argument("--measure-only", action="store_true", help="take the trained states in the cache")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        build(given)
    except WsisegError as error:
        parser.exit(error.exit_code, f"{error}\n")


def build(given: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    config = read_training_config(given.config)
    if given.measure_only:
        network = build_model(config.network, num_classes=len(TISSUE8), **config.options)
        state = given.cache / f"{config.name}-whole.pt"
        if not state.is_file():
            raise UsageError(f"{state}: no trained state there; run without --measure-only first")
        network.load_state_dict(torch.load(state, weights_only=True))
        network.eval()
        normalisation = measure_normalisation(
            phantom_pictures(config, "train", given.cache, given.workers)[0]
        )
    else:
        network, normalisation = train(config, given.cache, given.workers)
    card = finish(config, network, normalisation, given.cache, given.workers, given.crops)
    saved = save_model(given.output / f"{config.name}.safetensors", network, card)
    if given.page is not None:
        given.page.write_text(render(saved, WARNING), encoding="utf-8")
    log.info(
        "%s", saved.model_dump_json(indent=1, include={"name", "scores", "scores_note", "weights_sha256"})
    )


if __name__ == "__main__":
    main()
