"""The colour baseline is a strong one where colour does tell, and helpless where it does not."""

import numpy as np
import pytest

from wsiseg.evaluation.colour_baseline import ColourBaseline, mean_colour
from wsiseg.evaluation.phantom_rules import fit_colour_baseline, score_colour_baseline


def flat(colours, labels, rng):
    """Return stripes of the given colours with a little noise, and their labels."""
    rgb = np.repeat(np.array(colours, np.float32)[None], 40, axis=0).repeat(30, axis=1)
    rgb = rgb + rng.normal(0, 4, rgb.shape)
    truth = np.repeat(np.array(labels, np.uint8)[None], 40, axis=0).repeat(30, axis=1)
    return np.clip(rgb, 0, 255).astype(np.uint8), truth


def test_mean_colour_is_that_of_five_by_five_pixels():
    rgb = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert mean_colour(rgb)[4, 4] == pytest.approx(rgb[2:7, 2:7].mean(axis=(0, 1)), abs=1e-3)


def test_classes_of_different_colour_are_told_apart():
    rng = np.random.default_rng(0)
    colours = [(90, 60, 140), (130, 90, 150), (230, 160, 200), (200, 150, 180)]
    picture, other = (flat(colours, (1, 2, 3, 4), rng) for _ in range(2))
    scores = score_colour_baseline(fit_colour_baseline([picture]), [other])
    assert scores.better > 0.85


def test_classes_of_one_colour_are_not():
    rng = np.random.default_rng(0)
    colours = [(120, 80, 150)] * 2 + [(220, 160, 190)] * 2
    picture, other = (flat(colours, (1, 2, 3, 4), rng) for _ in range(2))
    scores = score_colour_baseline(fit_colour_baseline([picture]), [other])
    assert scores.better < 0.40


def test_weighting_decides_for_the_rare_class():
    baseline = ColourBaseline.empty((1, 2))
    grey = np.full((20, 20, 3), 128, np.uint8)
    labels = np.ones((20, 20), np.uint8)
    labels[:, :4] = 2
    baseline.learn(grey, labels)
    own = baseline.look_up(grey, baseline.decisions(balanced=False))
    assert (own == 1).all()
    # A colour seen for class 2 alone goes to class 2 whatever the weighting.
    baseline.learn(np.full((20, 20, 3), 40, np.uint8), np.full((20, 20), 2, np.uint8))
    dark = np.full((3, 3, 3), 40, np.uint8)
    for balanced in (False, True):
        assert (baseline.look_up(dark, baseline.decisions(balanced=balanced)) == 2).all()


def test_answers_are_among_the_classes_even_for_colours_never_seen():
    baseline = ColourBaseline.empty((1, 2, 3, 4))
    rgb, truth = flat([(90, 60, 140)] * 4, (1, 2, 3, 4), np.random.default_rng(1))
    baseline.learn(rgb, truth)
    strange = np.random.default_rng(2).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    assert np.isin(baseline.look_up(strange, baseline.decisions(balanced=True)), (1, 2, 3, 4)).all()
