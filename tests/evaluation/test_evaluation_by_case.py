"""Cases scored piece by piece: counts of the whole map, unread and left-out pixels apart, worst windows."""

from dataclasses import dataclass

import numpy as np
import pytest

from wsiseg.errors import InputRefusedError
from wsiseg.evaluation.by_case import WINDOW_PX, Piece, by_group, score_case, worst_of
from wsiseg.evaluation.confusion import Confusion
from wsiseg.geometry import Region

IDS = (0, 1, 2)


@dataclass
class Maps:
    """Two whole maps, cut into blocks."""

    truth: np.ndarray
    prediction: np.ndarray
    name: str = "a"
    group: str = "a"
    side: int = 1024

    def pieces(self):
        whole = Region(0, 0, *self.truth.shape[::-1])
        for y in range(0, whole.height, self.side):
            for x in range(0, whole.width, self.side):
                region = Region(x, y, self.side, self.side).intersect(whole)
                at = region.slices_in(whole)
                if (self.truth[at] != 255).any():
                    yield Piece(region, self.truth[at], self.prediction[at])

    def picture(self, region):
        rgb = np.zeros((*region.shape, 3), np.uint8)
        rgb[:] = region.x % 256, region.y % 256, 0
        return rgb


def maps(seed=0, shape=(1300, 1700)):
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, 255], np.uint8), shape)
    prediction = np.where(rng.random(shape) < 0.7, np.minimum(truth, 2), rng.integers(0, 3, shape))
    return truth, prediction.astype(np.uint8)


def test_counts_are_those_of_the_whole_map():
    truth, prediction = maps()
    whole = Confusion(IDS)
    whole.add(truth, prediction)
    found = score_case(Maps(truth, prediction), IDS)
    assert np.array_equal(found.confusion.counts, whole.counts)
    assert (found.unread_px, found.not_analysed_px, found.worst) == (0, 0, ())


def test_unread_and_left_out_pixels_are_counted_apart_and_never_scored():
    truth, prediction = maps()
    prediction[:100] = 254
    prediction[:, :50] = 255
    found = score_case(Maps(truth, prediction), IDS)
    kept = prediction < 254
    whole = Confusion(IDS)
    whole.add(truth[kept], prediction[kept])
    assert np.array_equal(found.confusion.counts, whole.counts)
    assert found.confusion.unexpected_px == 0
    assert found.unread_px == ((truth != 255) & (prediction == 254)).sum()
    assert found.not_analysed_px == ((truth != 255) & (prediction == 255)).sum()


def test_the_worst_windows_have_the_most_wrong_pixels():
    truth = np.ones((1300, 1700), np.uint8)
    prediction = truth.copy()
    prediction[600:700, 100:200] = 2
    prediction[1100:1140, 1600:1640] = 0
    prediction[0, :10] = 254
    found = score_case(Maps(truth, prediction), IDS, worst_windows=3)
    first, second = found.worst
    assert first.region == Region(0, WINDOW_PX, WINDOW_PX, WINDOW_PX)
    assert second.region == Region(1536, 1024, 1700 - 1536, 1300 - 1024)
    assert (first.wrong_px, second.wrong_px) == (10_000, 1600)
    assert second.compared_px == (1700 - 1536) * (1300 - 1024)
    assert np.array_equal(first.prediction, prediction[512:1024, :512])
    assert tuple(second.rgb[0, 0]) == (0, 1024 % 256, 0)
    other = score_case(Maps(truth, np.zeros_like(truth), name="b"), IDS, worst_windows=3)
    assert [window.case for window in worst_of([found, other], 4)] == ["b", "b", "b", "a"]


def test_groups_add_up():
    scores = [
        score_case(Maps(*maps(seed), name=str(seed), group=group), IDS) for seed, group in enumerate("xyx")
    ]
    groups = by_group(scores)
    assert list(groups) == ["x", "y"]
    assert np.array_equal(groups["x"].counts, scores[0].confusion.counts + scores[2].confusion.counts)


def test_a_label_of_another_class_map_is_refused_by_name():
    truth, prediction = maps()
    truth[5, 5] = 9
    with pytest.raises(InputRefusedError, match="a: truth holds label 9"):
        score_case(Maps(truth, prediction), IDS)
