"""Losses by hand, and a short run that learns, repeats itself and keeps its best state."""

import math

import numpy as np
import pytest
import torch

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.datasets.phantom import PatchDataset
from wsiseg.errors import UsageError
from wsiseg.models import build_model
from wsiseg.training.config import StageConfig
from wsiseg.training.loop import Normalisation, channel_table, seed_everything, train_stage
from wsiseg.training.losses import class_frequencies, class_weights, loss, subsample_labels


def test_class_weights_by_hand():
    labels = np.array([[[3, 3, 3, 5], [255, 255, 254, 3]]], np.uint8)
    frequencies = class_frequencies(labels, (3, 5, 6))
    assert frequencies == pytest.approx([0.8, 0.2, 0.0])
    weights = class_weights(frequencies)
    assert weights.tolist() == pytest.approx([1 / math.log(1.9), 1 / math.log(1.3), 1 / math.log(1.1)])


def test_nothing_labelled_is_refused():
    with pytest.raises(UsageError, match="nothing to train on"):
        class_frequencies(np.full((1, 4, 4), 255, np.uint8), (0, 1))


def test_loss_ignores_what_nobody_labelled():
    logits = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 3, (1, 4, 4), generator=torch.Generator().manual_seed(1))
    hidden = target.clone()
    hidden[:, 2:] = NOT_ANALYSED
    weights = torch.tensor([1.0, 2.0, 3.0])
    upper = loss(logits[:, :, :2], target[:, :2], weights)
    assert loss(logits, hidden, weights) == pytest.approx(float(upper))
    by_hand, total = 0.0, 0.0
    for row in range(2):
        for column in range(4):
            right = int(target[0, row, column])
            by_hand -= float(torch.log_softmax(logits[0, :, row, column], 0)[right]) * float(weights[right])
            total += float(weights[right])
    assert float(upper) == pytest.approx(by_hand / total, rel=1e-5)


def test_labels_for_the_encoder_are_taken_never_averaged():
    labels = torch.arange(256).reshape(1, 16, 16)
    assert subsample_labels(labels, 8).tolist() == [[[4 * 16 + 4, 4 * 16 + 12], [12 * 16 + 4, 12 * 16 + 12]]]
    assert subsample_labels(labels, 1) is labels


def test_ids_become_channels_and_others_are_ignored():
    table = channel_table((0, 4, 7))
    assert table[[0, 4, 7, 1, 254, 255]].tolist() == [0, 1, 2, 255, 255, 255]


@pytest.fixture(autouse=True)
def _torch_state():
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def easy_pictures():
    """Halves: dark with label 2, bright with label 6, and a band that nobody labelled."""
    rng = np.random.default_rng(0)
    rgb = rng.normal(60, 10, (2, 96, 96, 3))
    rgb[:, :, 48:] += 130
    labels = np.full((2, 96, 96), 2, np.uint8)
    labels[:, :, 48:] = 6
    labels[:, 40:56] = 255
    return np.clip(rgb, 0, 255).astype(np.uint8), labels


def run(network_name, *, bf16=False, validate=None, epochs=3, kept=None, mean=125.0):
    seed_everything(3)
    rgb, labels = easy_pictures()
    network = build_model(network_name, num_classes=8, alpha2=1, alpha3=1)
    reports = []
    patches = PatchDataset(rgb, labels, side_px=64, per_epoch=16, seed=1, augmentation=None)
    state = train_stage(
        network,
        patches,
        name="try",
        stage=StageConfig(epochs=epochs, learning_rate=5e-3),
        batch=4,
        weights=torch.ones(8),
        ids=tuple(range(8)),
        normalisation=Normalisation((mean, mean, mean), (60.0, 60.0, 60.0)),
        weight_decay=5e-4,
        bf16=bf16,
        validate=validate,
        report=reports.append,
        keep=None if kept is None else kept.append,
    )
    return network, state, reports


@pytest.mark.parametrize(("network_name", "epochs"), [("espnet-c", 4), ("espnet", 16)])
def test_a_short_run_learns_what_is_easy(network_name, epochs):
    _, _, reports = run(network_name, epochs=epochs)
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert [row.epoch for row in reports] == list(range(epochs))


@pytest.mark.parametrize("bf16", [False, True])
def test_a_run_repeats_itself(bf16):
    _, one, _ = run("espnet", bf16=bf16, epochs=1)
    _, other, _ = run("espnet", bf16=bf16, epochs=1)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert all(torch.isfinite(value).all() for value in one.values() if value.is_floating_point())


def test_the_best_state_is_kept_not_the_last():
    scores, states, kept = iter([0.3, 0.9, 0.5]), [], []

    def validate(network):
        states.append({key: value.clone() for key, value in network.state_dict().items()})
        return next(scores)

    _, best, reports = run("espnet-c", validate=validate, kept=kept)
    assert [row.validation for row in reports] == [0.3, 0.9, 0.5]
    assert all(torch.equal(best[key], states[1][key]) for key in best)
    assert len(kept) == 2
    assert any(not torch.equal(best[key], states[2][key]) for key in best)


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(FloatingPointError, match="epoch 0, step 0"):
        run("espnet-c", epochs=1, mean=float("nan"))
