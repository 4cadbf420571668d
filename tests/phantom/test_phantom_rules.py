"""Benign against malignant, normal against desmoplastic: colour alone fails, the bundled network does not."""

import pytest
import torch

from wsiseg.datasets.phantom import PhantomSet, draw
from wsiseg.evaluation.phantom_rules import (
    COLOUR_LIMIT,
    NETWORK_MARGIN,
    fit_colour_baseline,
    score_colour_baseline,
    score_network,
)
from wsiseg.models import DEFAULT_MODEL, load_model
from wsiseg.training.tissue8_card import WARNING, predictor


def pictures(ranges, first_seed, count):
    which = PhantomSet(ranges=ranges, first_seed=first_seed, count=count, side_px=640, fine_every=0)
    return [draw(which, index) for index in range(count)]


@pytest.fixture(scope="module")
def baseline():
    return fit_colour_baseline(pictures("training", 1_000_000, 10))


@pytest.fixture(scope="module")
def held_out():
    return pictures("held-out", 3_000_000, 7)


@pytest.fixture(scope="module")
def model():
    return load_model(DEFAULT_MODEL)


def test_colour_alone_fails_within_the_training_ranges(baseline):
    scores = score_colour_baseline(baseline, pictures("training", 4_000_000, 6))
    assert scores.better < COLOUR_LIMIT


def test_colour_alone_fails_on_held_out_phantoms(baseline, held_out):
    scores = score_colour_baseline(baseline, held_out)
    assert 0.1 < scores.better < COLOUR_LIMIT


def test_the_bundled_network_sees_architecture(baseline, held_out, model):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _, four = score_network(predictor(model.network, model.card), held_out)
    finally:
        torch.set_num_threads(threads)
    assert four.mean_iou >= score_colour_baseline(baseline, held_out).better + NETWORK_MARGIN


def test_the_card_says_what_the_model_is_not_for(model):
    assert WARNING in model.card.summary
    assert WARNING in model.card.training_data
    assert model.card.mpp == 1.0
    assert model.card.licence == "Apache-2.0"


def test_the_scores_on_the_card_keep_the_rule(model):
    for name in ("held_out_phantoms", "validation_phantoms"):
        scores = model.card.scores[name]
        colour = scores["four_classes_colour_baseline"]
        assert colour < COLOUR_LIMIT
        assert scores["four_classes_mean_iou"] >= colour + NETWORK_MARGIN
