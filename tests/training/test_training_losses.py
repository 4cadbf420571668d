"""Losses by hand: weights of classes, what nobody labelled, and a step divided into batches."""

import math

import numpy as np
import pytest
import torch

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.errors import UsageError
from wsiseg.training.losses import channel_table, class_weights, loss_sum, subsample_labels, weight_sum
from wsiseg.training.source import class_frequencies

WEIGHTS = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("offset", [1.02, 1.10])
def test_class_weights_by_hand(offset):
    labels = np.array([[[3, 3, 3, 5], [255, 255, 254, 3]]], np.uint8)
    frequencies = class_frequencies(labels, (3, 5, 6))
    assert frequencies == pytest.approx([0.8, 0.2, 0.0])
    expected = [1 / math.log(offset + share) for share in (0.8, 0.2, 0.0)]
    assert class_weights(frequencies, offset).tolist() == pytest.approx(expected)


def test_nothing_labelled_is_refused():
    with pytest.raises(UsageError, match="nothing to train on"):
        class_frequencies(np.full((1, 4, 4), 255, np.uint8), (0, 1))


def example():
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    target[0, 2:] = NOT_ANALYSED
    return logits, target


def test_loss_is_the_weighted_mean_over_what_is_labelled():
    logits, target = example()
    by_hand, total = 0.0, 0.0
    for picture, row, column in np.ndindex(2, 4, 4):
        right = int(target[picture, row, column])
        if right != NOT_ANALYSED:
            chance = torch.log_softmax(logits[picture, :, row, column], 0)[right]
            by_hand -= float(chance) * float(WEIGHTS[right])
            total += float(WEIGHTS[right])
    assert weight_sum(target, WEIGHTS) == pytest.approx(total)
    assert float(loss_sum(logits, target, WEIGHTS)) == pytest.approx(by_hand, rel=1e-5)


def test_parts_add_up_to_the_whole_step():
    logits, target = example()
    parts = [float(loss_sum(logits[at : at + 1], target[at : at + 1], WEIGHTS)) for at in range(2)]
    assert sum(parts) == pytest.approx(float(loss_sum(logits, target, WEIGHTS)), rel=1e-6)


def test_patches_without_a_label_count_nothing():
    logits, target = example()
    nothing = torch.full_like(target, NOT_ANALYSED)
    assert weight_sum(nothing, WEIGHTS) == 0
    assert float(loss_sum(logits, nothing, WEIGHTS)) == 0


def test_labels_for_the_encoder_are_taken_never_averaged():
    labels = torch.arange(256).reshape(1, 16, 16)
    assert subsample_labels(labels, 8).tolist() == [[[4 * 16 + 4, 4 * 16 + 12], [12 * 16 + 4, 12 * 16 + 12]]]
    assert subsample_labels(labels, 1) is labels


def test_ids_become_channels_and_others_are_ignored():
    table = channel_table((0, 4, 7))
    assert table[[0, 4, 7, 1, 254, 255]].tolist() == [0, 1, 2, 255, 255, 255]
