"""The pictures of an evaluation show what was counted."""

import io
from dataclasses import replace

import numpy as np
import official_layouts as made
import pytest
from PIL import Image

from wsiseg.datasets.cityscapes_classes import CITYSCAPES
from wsiseg.datasets.image_folder import open_image_folder
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.figures import MARGIN_PX, PANEL_PX, draw_confusion, draw_worst, paint
from wsiseg.evaluation.over_dataset import WorstCase

RED = (220, 0, 0)


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def red_share(picture):
    left = MARGIN_PX + 3 * (PANEL_PX + MARGIN_PX)
    panel = picture[:, left : left + PANEL_PX]
    return (panel == RED).all(axis=2).sum() / (PANEL_PX * round(PANEL_PX * 48 / 64))


def test_wrong_pixels_are_red_and_ignored_ones_are_not(tmp_path):
    pictures = open_image_folder(made.folder(tmp_path))
    truth = pictures[1].labels
    prediction = np.zeros_like(truth)
    share = ((truth != 0) & (truth != 255)).mean()
    case = WorstCase(1, "three", 0.25, prediction)
    drawn = opened(draw_worst([case], pictures))
    assert drawn.shape[1] == 4 * (PANEL_PX + MARGIN_PX) + MARGIN_PX
    assert red_share(drawn) == pytest.approx(share, abs=0.01)
    assert red_share(opened(draw_worst([replace(case, prediction=truth)], pictures))) == 0
    two = opened(draw_worst([case, case], pictures))
    assert two.shape[0] > drawn.shape[0] + 300


def test_labels_are_painted_in_their_colours():
    painted = paint(np.array([[0, 18, 255]], np.uint8), CITYSCAPES)
    assert painted.tolist() == [[[128, 64, 128], [119, 11, 32], [0, 0, 0]]]


def test_the_matrix_is_drawn_by_rows():
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    perfect, wrong = Confusion(CITYSCAPES.ids), Confusion(CITYSCAPES.ids)
    truth = np.arange(19, dtype=np.uint8)[None]
    perfect.add(truth, truth)
    wrong.add(truth, (truth + 1) % 19)
    one, other = (opened(draw_confusion(matrix, CITYSCAPES, "title")) for matrix in (perfect, wrong))
    assert one.shape == other.shape
    assert one.shape[0] > 800
    yellow = [((drawn - (253, 231, 36)) ** 2).sum(axis=2) < 50 for drawn in (one, other)]
    # What lies on the diagonal in one lies beside it in the other; the bar of the legend is in both.
    assert yellow[0].sum() > 10_000
    assert 0.8 < yellow[0].sum() / yellow[1].sum() < 1.2
    assert (yellow[0] & yellow[1]).sum() < 0.2 * yellow[0].sum()
    strange = Confusion(CITYSCAPES.ids)
    strange.add(truth, np.full_like(truth, 200))
    assert opened(draw_confusion(strange, CITYSCAPES, "title")).shape[0] > 800
