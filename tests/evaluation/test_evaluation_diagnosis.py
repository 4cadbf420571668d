"""Diagnosis scores against counting by hand, and windows that cover a region."""

import numpy as np
import pytest

from wsiseg.evaluation.diagnosis_scores import DiagnosisScores
from wsiseg.evaluation.region_diagnosis import windows_over
from wsiseg.geometry import Region


def test_scores_are_counted_case_by_case():
    rng = np.random.default_rng(3)
    truth, told = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (truth, told), 1)
    scores = DiagnosisScores(counts)
    assert scores.cases == 50
    assert scores.accuracy == np.mean(truth == told)
    for place in range(3):
        assert scores.sensitivity[place] == np.mean(told[truth == place] == place)
        assert scores.specificity[place] == np.mean(told[truth != place] != place)
    assert scores.balanced_accuracy == pytest.approx(np.mean(scores.sensitivity))


def test_what_has_no_case_is_none_not_0():
    scores = DiagnosisScores(np.array([[2, 0], [0, 0]]))
    assert scores.sensitivity == (1.0, None)
    assert scores.specificity == (None, 1.0)
    assert scores.balanced_accuracy == 1.0
    nothing = DiagnosisScores(np.zeros((2, 2), np.int64))
    assert (nothing.accuracy, nothing.balanced_accuracy) == (None, None)
    assert nothing.by_name(["a", "b"])["sensitivity"] == {"a": None, "b": None}


@pytest.mark.parametrize("area", [Region(3, 5, 10, 100), Region(0, 0, 64, 65), Region(7, 0, 200, 130)])
def test_windows_cover_a_region_and_stay_as_near_as_they_can(area):
    windows = windows_over(area, 64)
    seen = np.zeros((area.bottom + 128, area.right + 128), bool)
    for window in windows:
        seen[max(0, window.y) : window.bottom, max(0, window.x) : window.right] = True
        assert (window.width, window.height) == (64, 64)
        for start, stop, low, high in (
            (window.x, window.right, area.x, area.right),
            (window.y, window.bottom, area.y, area.bottom),
        ):
            assert (low <= start and stop <= high) or (start <= low and high <= stop)
    assert seen[area.y : area.bottom, area.x : area.right].all()
    assert len(windows) == -(-area.width // 64) * -(-area.height // 64)
