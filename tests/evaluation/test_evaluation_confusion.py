"""Confusion counts against a slow rule, and the scores against sums done by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.evaluation.confusion import Confusion

LABELS = st.sampled_from([0, 1, 2, UNREAD, NOT_ANALYSED])
MAPS = npst.arrays(np.uint8, (5, 4), elements=LABELS)


@settings(max_examples=60, deadline=None)
@given(MAPS, MAPS)
def test_counts_are_those_of_a_loop(truth, prediction):
    confusion = Confusion((0, 1, 2))
    confusion.add(truth, prediction)
    slow = np.zeros((3, 4), np.int64)
    for true, predicted in zip(truth.ravel(), prediction.ravel(), strict=True):
        if true <= 2:
            slow[true, predicted if predicted <= 2 else 3] += 1
    assert np.array_equal(confusion.counts, slow)
    assert confusion.counts.dtype == np.int64


def test_scores_by_hand():
    confusion = Confusion((3, 7, 9))
    truth = np.array([[3, 3, 3, 7], [7, 7, 255, 254]], np.uint8)
    prediction = np.array([[3, 3, 7, 7], [7, 3, 3, 3]], np.uint8)
    confusion.add(truth, prediction)
    scores = confusion.scores()
    assert scores.iou == (pytest.approx(2 / 4), pytest.approx(2 / 4), None)
    assert scores.f1 == (pytest.approx(4 / 6), pytest.approx(4 / 6), None)
    assert scores.mean_iou == pytest.approx(0.5)
    assert scores.pixel_accuracy == pytest.approx(4 / 6)
    assert scores.compared_px == 6
    assert scores.truth_px == (3, 3, 0)


def test_a_class_that_is_only_predicted_scores_zero_not_absent():
    confusion = Confusion((0, 1))
    confusion.add(np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8))
    assert confusion.scores().iou == (pytest.approx(0.75), 0.0)


def test_unexpected_predictions_count_against_the_truth():
    confusion = Confusion((1, 2))
    confusion.add(np.array([[1, 1, 2]], np.uint8), np.array([[1, 5, 255]], np.uint8))
    scores = confusion.scores()
    assert scores.iou == (pytest.approx(0.5), 0.0)
    assert scores.pixel_accuracy == pytest.approx(1 / 3)
    assert confusion.unexpected_px == 2


def test_one_matrix_is_not_the_mean_of_two():
    """The global IoU of two pictures of different content is not the average of theirs."""
    one, other = Confusion((0, 1)), Confusion((0, 1))
    one.add(np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8))
    other.add(np.array([[0, 1]], np.uint8), np.array([[1, 1]], np.uint8))
    both = one.merge([other])
    assert both.scores().iou == (pytest.approx(100 / 101), pytest.approx(1 / 2))
    assert one.counts.sum() == 100


def test_nothing_compared_gives_no_scores():
    confusion = Confusion((0, 1))
    confusion.add(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8))
    scores = confusion.scores()
    assert scores.mean_iou is None
    assert scores.pixel_accuracy is None
    assert scores.iou == (None, None)


@pytest.mark.parametrize(
    ("truth", "prediction", "what"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "shapes must agree"),
        (np.full((2, 2), 9, np.uint8), np.zeros((2, 2), np.uint8), "truth holds label 9"),
        (np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8), "expected integers"),
        (np.full((2, 2), 300), np.zeros((2, 2), np.uint8), "label ids are 0 to 255"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(truth, prediction, what):
    with pytest.raises(ValueError, match=what):
        Confusion((0, 1)).add(truth, prediction)


def test_ids_must_be_distinct_and_not_reserved():
    with pytest.raises(ValueError, match="distinct"):
        Confusion((1, 1))
    with pytest.raises(ValueError, match="overlap"):
        Confusion((0, 255))
    with pytest.raises(ValueError, match="cannot merge"):
        Confusion((0, 1)).merge([Confusion((0, 2))])
