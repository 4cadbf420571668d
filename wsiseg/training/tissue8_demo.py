"""Measures a finished run of `configs/train_tissue8_demo.yaml` and writes the bundled model: `make model`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from wsiseg.config import load_config
from wsiseg.errors import UsageError, WsisegError
from wsiseg.models import ModelCard, load_model, save_model
from wsiseg.models.files import BUNDLED
from wsiseg.training.card_page import render
from wsiseg.training.config import PhantomData, TrainConfig
from wsiseg.training.source import phantom_pictures
from wsiseg.training.tissue8_card import WARNING, measure, predictor

log = logging.getLogger(__name__)


def main() -> None:
    """Measure, and write the model and its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished `wsiseg train`")
    parser.add_argument("-o", "--output", type=Path, default=BUNDLED, help="folder of the model")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw phantoms")
    parser.add_argument("--crops", type=Path, help="real crops (rgb/, label/) to measure on, and only that")
    parser.add_argument("--page", type=Path, help="Markdown page of the card to write")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        saved = bundle(given.run, given.output, given.crops, given.workers)
    except WsisegError as error:
        parser.exit(error.exit_code, f"{error}\n")
    if given.page is not None:
        given.page.write_text(render(saved, WARNING), encoding="utf-8")
    log.info("%s", saved.model_dump_json(indent=1, include={"name", "scores", "weights_sha256"}))


def bundle(run: Path, output: Path, crops: Path | None, workers: int) -> ModelCard:
    """Measure the best weights of a run, write them with the scores in their card, and return the card."""
    if not (run / "done.json").is_file():
        raise UsageError(f"{run}: holds no finished run; wsiseg train makes one")
    config = load_config(run / "config.yaml", [], TrainConfig)
    data, mpp = config.data, config.model.mpp
    if not isinstance(data, PhantomData) or mpp is None:
        raise UsageError(f"{run}: is no run on phantoms: the bundled model is trained on nothing else")
    model = load_model(run / "best.safetensors")
    pictures = {
        which: list(zip(*phantom_pictures(data, mpp, which, run, workers), strict=True))
        for which in ("train", "validation", "held-out")
    }
    scores, note = measure(
        predictor(model.network, model.card),
        mpp,
        training=pictures["train"],
        validation=pictures["validation"],
        held_out=pictures["held-out"],
        crops=crops,
    )
    card = model.card.model_copy(
        update={
            "scores": scores,
            "scores_note": note,
            "source": "Trained by wsiseg's own code: make model",
            "training_data": f"{model.card.training_data} This model is {WARNING}.",
        }
    )
    return save_model(output / f"{config.name}.safetensors", model.network, card)


if __name__ == "__main__":
    main()
