"""The colours of the two epithelia, and of the two stromas, agree on each phantom."""

import numpy as np
import pytest
from scipy import ndimage

from wsiseg.phantom.equalise import equalise
from wsiseg.phantom.generate import ARCHITECTURE_PAIRS, generate_phantom
from wsiseg.phantom.parameters import NAMED_RANGES


@pytest.mark.parametrize("which", sorted(NAMED_RANGES))
def test_colours_of_a_pair_agree(which):
    phantom = generate_phantom(21, 900, 900, ranges=NAMED_RANGES[which])
    mean = ndimage.uniform_filter(phantom.rgb.astype(np.float32), (5, 5, 1))
    for first, second in ARCHITECTURE_PAIRS:
        one, other = (mean[phantom.labels == label] for label in (first, second))
        assert min(len(one), len(other)) > 5000
        assert np.abs(one.mean(axis=0) - other.mean(axis=0)).max() < 6
        for part in (0.1, 0.5, 0.9):
            apart = np.quantile(one, part, axis=0) - np.quantile(other, part, axis=0)
            assert np.abs(apart).max() < 12, (first, second, part)


def test_equalise_moves_two_distributions_together():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([[1], [2]], np.uint8), 100, axis=0) * np.ones((1, 100), np.uint8)
    haematoxylin = rng.normal(0.5, 0.05, labels.shape).astype(np.float32) + 0.3 * (labels == 2)
    eosin = rng.normal(0.5, 0.05, labels.shape).astype(np.float32)
    haematoxylin = haematoxylin.astype(np.float32)
    equalise(haematoxylin, eosin, labels, ((1, 2),), 1.0)
    assert abs(haematoxylin[labels == 1].mean() - haematoxylin[labels == 2].mean()) < 0.03
    assert 0.55 < haematoxylin.mean() < 0.75


def test_equalise_leaves_a_lonely_class_alone():
    labels = np.ones((60, 60), np.uint8)
    haematoxylin = np.random.default_rng(0).uniform(size=labels.shape).astype(np.float32)
    before = haematoxylin.copy()
    equalise(haematoxylin, haematoxylin.copy(), labels, ((1, 2),), 1.0)
    assert np.array_equal(haematoxylin, before)
