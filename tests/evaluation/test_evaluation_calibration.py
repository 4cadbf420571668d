"""A temperature that is put in is found again; reliability bins are those of a loop."""

import numpy as np
import pytest

from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.reliability import Reliability
from wsiseg.evaluation.temperature import PixelSample, fit_temperature

LABELS = np.array([0, 1, 2], np.uint8)


def softmax(logits):
    share = np.exp(logits - logits.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)


def drawn(temperature, count=40_000, seed=0):
    """Logits, and truth drawn from the softmax of logits / temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 3)).astype(np.float32)
    edges = softmax(logits / temperature).cumsum(1)
    truth = (rng.random((count, 1)) > edges[:, :2]).sum(1)
    return logits, LABELS[truth]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_again(temperature):
    logits, truth = drawn(temperature)
    fit = fit_temperature(logits, truth, LABELS)
    assert fit.temperature == pytest.approx(temperature, rel=0.03)
    assert fit.nll_after <= fit.nll_before
    likelihood = np.log(softmax(logits / fit.temperature)[np.arange(len(truth)), truth])
    assert fit.nll_after == pytest.approx(-likelihood.mean(), rel=1e-5)
    for other in (fit.temperature * 1.05, fit.temperature / 1.05):
        worse = -np.log(softmax(logits / other)[np.arange(len(truth)), truth]).mean()
        assert worse > fit.nll_after


def test_channels_of_one_class_add_up():
    logits, truth = drawn(2.0)
    merged = np.array([0, 1, 1], np.uint8)
    fit = fit_temperature(logits, np.minimum(truth, 1), merged, before=2.0)
    share = softmax(logits / fit.temperature)
    likely = np.where(truth == 0, share[:, 0], share[:, 1] + share[:, 2])
    assert fit.nll_after == pytest.approx(-np.log(likely).mean(), rel=1e-5)
    assert fit.temperature == pytest.approx(2.0, rel=0.05)
    assert fit.nll_before == pytest.approx(fit.nll_after, abs=1e-3)


def test_truth_without_a_channel_is_left_out():
    logits, truth = drawn(2.0)
    strange = truth.copy()
    strange[::4] = 9
    fit = fit_temperature(logits, strange, LABELS)
    assert fit.pixels == 30_000
    assert fit == fit_temperature(logits[strange != 9], strange[strange != 9], LABELS)


def test_nothing_to_fit_on_is_refused():
    logits, truth = drawn(1.0)
    with pytest.raises(InputRefusedError, match="expected 1000 or more"):
        fit_temperature(logits[:900], truth[:900], LABELS)
    always = LABELS[logits.argmax(1)]
    with pytest.raises(InputRefusedError, match="always right or no better than chance"):
        fit_temperature(logits, always, LABELS)
    random = np.random.default_rng(0).permutation(truth)
    with pytest.raises(InputRefusedError, match="always right or no better than chance"):
        fit_temperature(logits, random, LABELS)


def test_a_sample_is_uniform_and_does_not_depend_on_the_pieces():
    logits = np.arange(9000, dtype=np.float32).reshape(-1, 1)
    truth = (np.arange(9000) % 7).astype(np.uint8)
    whole, parts = PixelSample(500, 1, seed=4), PixelSample(500, 1, seed=4)
    whole.add(logits, truth)
    for start, stop in ((0, 10), (10, 4000), (4000, 4001), (4001, 9000)):
        parts.add(logits[start:stop], truth[start:stop])
    assert all(np.array_equal(*pair) for pair in zip(whole.pixels(), parts.pixels(), strict=True))
    found, ids = whole.pixels()
    assert len(np.unique(found)) == 500
    assert np.array_equal(ids, (found[:, 0] % 7).astype(np.uint8))
    # 500 places of 9000 have a mean of 4500 with a standard deviation of about 113.
    assert abs(found.mean() - 4500) < 5 * 113
    small = PixelSample(500, 1, seed=4)
    small.add(logits[:20], truth[:20])
    assert np.array_equal(small.pixels()[0], logits[:20])
    assert (small.seen, whole.seen) == (20, 9000)


def test_bins_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    confidence = np.concatenate([rng.random(3000), [0.0, 0.1, 0.2, 1.0]]).astype(np.float32)
    right = rng.random(len(confidence)) < confidence**2
    found = Reliability(bins=10)
    found.add(confidence[:1000], right[:1000])
    found.add(confidence[1000:], right[1000:])
    error = 0.0
    for number in range(10):
        low, high = number / 10, (number + 1) / 10
        values = confidence.astype(np.float64)
        inside = (values > low) & (values <= high) if number else values <= high
        row = found.rows()[number]
        assert row["pixels"] == inside.sum()
        assert row["accuracy"] == pytest.approx(right[inside].mean())
        assert row["confidence"] == pytest.approx(values[inside].mean())
        error += inside.sum() / len(values) * abs(right[inside].mean() - values[inside].mean())
    assert found.expected_calibration_error == pytest.approx(error)
    assert Reliability().expected_calibration_error is None
    assert Reliability().rows()[0]["accuracy"] is None
