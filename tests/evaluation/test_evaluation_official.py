"""Our Cityscapes scores are those of the official package, on the same label images."""

import importlib
import math
import warnings

import numpy as np
import official_layouts as made
import pytest

from wsiseg.datasets.cityscapes import LABEL_ID_VALUES, open_cityscapes
from wsiseg.datasets.cityscapes_classes import CATEGORIES, CITYSCAPES, LABEL_IDS
from wsiseg.datasets.pictures import apply_values, read_values
from wsiseg.evaluation.confusion import Confusion


@pytest.fixture(scope="session")
def official():
    """The official evaluation of pairs of label images, at the level of pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another project's, on import
        try:
            module = importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
        except ImportError:
            pytest.skip("needs cityscapesScripts: pip install cityscapesScripts")
    module.args.evalInstLevelScore = False
    module.args.JSONOutput = False
    module.args.quiet = True

    def evaluate(predictions, truths):
        return module.evaluateImgLists(
            [str(path) for path in predictions], [str(path) for path in truths], module.args
        )

    return evaluate


def equal(ours, theirs):
    return theirs == pytest.approx(ours, abs=1e-12) if ours is not None else math.isnan(theirs)


def compare(result, confusion):
    scores = confusion.scores()
    for item, iou in zip(CITYSCAPES.classes, scores.iou, strict=True):
        assert equal(iou, result["classScores"][item.name]), item.name
    assert equal(scores.mean_iou, result["averageScoreClasses"])
    grouped = confusion.grouped(list(CATEGORIES.values())).scores()
    for name, iou in zip(CATEGORIES, grouped.iou, strict=True):
        assert equal(iou, result["categoryScores"][name]), name
    assert equal(grouped.mean_iou, result["averageScoreCategories"])


@pytest.mark.parametrize(
    ("true_values", "predicted_values"),
    [
        (range(34), range(34)),
        (range(34), LABEL_IDS),
        ((0, 3, 7, 8, 11), (7, 8, 11, 26)),  # absent classes, and one that is predicted only
        ((7, 23), (0, 1, 7)),  # void predicted
        ((0, 1, 2), (7, 8)),  # nothing to compare
    ],
)
def test_scores_are_the_official_ones(tmp_path, official, true_values, predicted_values):
    pictures = open_cityscapes(made.cityscapes(tmp_path, values=true_values))
    random = np.random.default_rng(1)
    confusion, predictions = Confusion(CITYSCAPES.ids), []
    for sample, item in zip(pictures, pictures.items, strict=True):
        truth = read_values(item.labels)
        other = random.choice(np.asarray(list(predicted_values), np.uint8), truth.shape)
        allowed = np.isin(truth, list(predicted_values)) & (random.random(truth.shape) < 0.6)
        values = np.where(allowed, truth, other)
        path = made.save(tmp_path / "predicted" / f"{item.name}_pred.png", values)
        confusion.add(sample.labels, apply_values(values, LABEL_ID_VALUES, path))
        predictions.append(path)
    compare(official(predictions, [item.labels for item in pictures.items]), confusion)


def test_label_ids_are_the_official_ones():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels", reason="needs cityscapesScripts")
    scored = [label for label in labels.labels if not label.ignoreInEval]
    assert [(label.id, label.name, label.color) for label in scored] == [
        (value, item.name, item.colour) for value, item in zip(LABEL_IDS, CITYSCAPES.classes, strict=True)
    ]
    for label in scored:
        assert label.trainId in CATEGORIES[label.category]
    for label in labels.labels:
        if label.id >= 0:
            assert LABEL_ID_VALUES[label.id] == label.trainId
