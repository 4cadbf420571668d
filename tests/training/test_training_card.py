"""The card's page holds the figures of the bundled model; measuring fills a card that can be stored."""

from pathlib import Path

import numpy as np

from wsiseg.class_map import TISSUE8
from wsiseg.config import load_config
from wsiseg.models import DEFAULT_MODEL, read_card
from wsiseg.models.files import find_model
from wsiseg.training.card_page import render
from wsiseg.training.config import TrainConfig
from wsiseg.training.tissue8_card import WARNING, measure

ROOT = Path(__file__).parents[2]


def test_the_page_is_that_of_the_bundled_model():
    page = (ROOT / "docs" / "model-cards" / f"{DEFAULT_MODEL}.md").read_text(encoding="utf-8")
    assert page == render(read_card(DEFAULT_MODEL), WARNING)


def test_the_bundled_model_is_small():
    assert find_model(DEFAULT_MODEL).stat().st_size < 3_000_000


def test_the_bundled_model_is_the_one_that_the_config_builds():
    card, config = (
        read_card(DEFAULT_MODEL),
        load_config(ROOT / "configs" / "train_tissue8_demo.yaml", [], TrainConfig),
    )
    assert card.architecture.options == config.model.options
    assert card.mpp == config.model.mpp
    assert str(config.data.train_count) in card.training_data


def test_measured_scores_fit_into_a_card():
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(2):
        truth = rng.integers(0, 7, (40, 40)).astype(np.uint8)
        pictures.append((rng.integers(0, 256, (40, 40, 3), dtype=np.uint8), truth))
    scores, note = measure(
        lambda rgb: np.full(rgb.shape[:2], 3, np.uint8),
        1.0,
        training=pictures,
        validation=pictures[:1],
        held_out=pictures,
        crops=None,
    )
    card = read_card(DEFAULT_MODEL)
    full = type(card).model_validate({**card.model_dump(), "scores": scores, "scores_note": note})
    assert full.scores["held_out_phantoms"]["iou"]["necrosis"] is None
    assert full.scores["held_out_phantoms"]["phantoms"] == 2
    page = render(full, WARNING)
    assert "IoU necrosis | absent" in page
    assert all(item.name in page for item in TISSUE8.classes)
