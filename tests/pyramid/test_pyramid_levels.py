from collections import Counter

import numpy as np
import pytest

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.pyramid.levels import halve_confidence, halve_image, halve_labels, level_shapes


def slow_halve(labels):
    """The rule, in words: most votes, then unread, then any class in reading order, then not analysed."""
    rows, columns = (side + 1 for side in np.array(labels.shape) - 1)
    out = np.zeros(((rows + 1) // 2, (columns + 1) // 2), np.uint8)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            votes = labels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()
            most = max(Counter(votes).values())
            best = [vote for vote in votes if votes.count(vote) == most]
            if UNREAD in best:
                out[row, column] = UNREAD
            else:
                out[row, column] = ([vote for vote in best if vote != NOT_ANALYSED] or [NOT_ANALYSED])[0]
    return out


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (31, 64), (33, 17)])
@pytest.mark.parametrize(
    "values", [[0, 1], [0, 1, 2, 3, 253], [0, 1, 2, 254], [3, 254, 255], [255], [0, 5, 254, 255]]
)
def test_equals_the_slow_rule(shape, values):
    labels = np.random.default_rng(1).choice(np.array(values, np.uint8), shape)
    np.testing.assert_array_equal(halve_labels(labels), slow_halve(labels))


def test_no_label_appears_that_was_not_there():
    labels = np.random.default_rng(2).choice(np.array([1, 7, 254, 255], np.uint8), (65, 33))
    assert set(np.unique(halve_labels(labels))) <= {1, 7, 254, 255}


def test_image_is_averaged_and_an_odd_edge_repeated():
    image = np.array([[[0, 2, 10], [4, 6, 20]]], np.uint8)
    np.testing.assert_array_equal(halve_image(image), [[[3, 15]]])


def test_levels_end_when_the_longer_side_is_at_most_512():
    assert level_shapes(1481, 1108) == [(1481, 1108), (741, 554), (371, 277)]
    assert level_shapes(512, 10) == [(512, 10)]
    assert level_shapes(10, 513) == [(10, 513), (5, 257)]


def slow_halve_confidence(values):
    """The mean of those that say something, rounded half up; else unread, no tissue, not analysed."""
    rows, columns = (values.shape[0] + 1) // 2, (values.shape[1] + 1) // 2
    out = np.zeros((rows, columns), np.uint8)
    for row in range(rows):
        for column in range(columns):
            four = values[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()
            said = [value for value in four if value >= 3]
            if said:
                out[row, column] = int(sum(said) / len(said) + 0.5)
            else:
                out[row, column] = 1 if 1 in four else 2 if 2 in four else 0
    return out


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (31, 64), (33, 17)])
@pytest.mark.parametrize("values", [[0, 1, 2], [0, 3], [1, 2, 3, 4, 254, 255], [0, 1, 2, 100, 200], [0, 2]])
def test_confidence_equals_the_slow_rule(shape, values):
    pixels = np.random.default_rng(4).choice(np.array(values, np.uint8), shape)
    np.testing.assert_array_equal(halve_confidence(pixels), slow_halve_confidence(pixels))
