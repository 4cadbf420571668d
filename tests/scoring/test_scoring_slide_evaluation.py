"""Slides scored by the way of a prediction: the labels are those that `predict` writes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import zarr
from small_models import integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.annotations.annotation import Annotation
from wsiseg.annotations.rasterise import AnnotationLayer
from wsiseg.class_map import TISSUE8, ClassMap
from wsiseg.config import EvaluateConfig
from wsiseg.errors import InputRefusedError, SlideReadError
from wsiseg.evaluation.bootstrap import bootstrap
from wsiseg.evaluation.confusion import Confusion
from wsiseg.geometry import Region
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.scoring.slide_evaluation import SlideEvaluator, slide_table
from wsiseg.slides import open_slide
from wsiseg.slides.array import ArraySlide

MODEL = integer_model(1, tile_px=256, halo_px=48)
OPTIONS = PredictOptions(model=MODEL, runtime="torch", precision="fp32")


def config(**changes):
    values = {
        "data": {"dataset": "image-folder", "root": "unused"},
        "model": {"checkpoint": "unused"},
        "runtime": "torch",
        "precision": "fp32",
        "worst_cases": 2,
    }
    return EvaluateConfig.model_validate(values | changes)


def box(x, y, width, height):
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float64)


@dataclass
class Annotated:
    """A slide with boxes drawn on it."""

    path: Path
    group: str
    layer: AnnotationLayer
    slide_mpp: tuple[float, float] | None = None
    asked: list[Region] = field(default_factory=list)

    @property
    def name(self):
        return self.path.stem

    def open(self):
        return open_slide(self.path)

    def labels(self, region, factor_l0):
        self.asked.append(region)
        return self.layer.rasterise(region, factor_l0)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three slides of two patients, each with areas on it, tissue and glass."""
    at = tmp_path_factory.mktemp("slides")
    made = []
    for seed, group in enumerate(("one", "two", "one")):
        path = at / f"slide-{seed}.tiff"
        write_phantom_slide(path, seed=seed, width_px=900, height_px=800, mpp=0.5)
        boxes = [box(0, 0, 500, 400), box(300, 200, 500, 450), box(700, 500, 133, 251)]
        areas = [Annotation(str(order), ring, (), order) for order, ring in enumerate(boxes)]
        made.append(Annotated(path, group, AnnotationLayer(areas, [0, 3 + seed, 1])))
    return made


@pytest.fixture(scope="module")
def results(slides, tmp_path_factory):
    """What predict writes of them."""
    at = tmp_path_factory.mktemp("results")
    for case in slides:
        segment_slide(case.path, at, OPTIONS)
    return at


def slow(case, results):
    """Counts from the whole label map of the store and the whole truth."""
    labels = zarr.open_group(str(results / f"{case.name}.wsiseg.ome.zarr"), mode="r")["labels/tissue/0"][:]
    truth = case.layer.rasterise(Region(0, 0, *labels.shape[::-1]), (2.0, 2.0))
    confusion = Confusion(TISSUE8.ids)
    confusion.add(truth, labels)
    return confusion


def evaluated(slides, **changes):
    evaluator = SlideEvaluator(MODEL, TISSUE8, config(**changes))
    for case in slides:
        evaluator.add(case)
    return evaluator.result()


def test_scores_are_those_of_what_predict_writes(slides, results):
    found = evaluated(slides)
    stored = evaluated(slides, predictions=str(results))
    for number, case in enumerate(slides):
        counts = slow(case, results).counts
        assert counts.sum() > 80_000
        assert (counts.sum(0) > 0).sum() > 2
        assert np.array_equal(found.cases[number].confusion.counts, counts)
        assert np.array_equal(stored.cases[number].confusion.counts, counts)
    total = sum(slow(case, results).counts for case in slides)
    assert np.array_equal(found.confusion.counts, total)
    assert [case.group for case in found.cases] == ["one", "two", "one"]
    assert found.intervals is None
    assert any(text.startswith("2 groups") and "too few" in text for text in found.warnings)
    assert len(found.worst) == 2
    for one, other in zip(found.worst, stored.worst, strict=True):
        assert (one.case, one.region, one.wrong_px) == (other.case, other.region, other.wrong_px)
        assert np.array_equal(one.rgb, other.rgb)
        assert np.array_equal(one.prediction, other.prediction)
        assert one.rgb.std() > 0


def test_intervals_are_over_patients(slides, results):
    alone = [Annotated(case.path, case.name, case.layer) for case in slides]
    found = evaluated(alone, predictions=str(results), bootstrap={"resamples": 300, "seed": 5})
    assert found.intervals == bootstrap([slow(case, results) for case in slides], resamples=300, seed=5)
    low, high = found.intervals.pixel_accuracy
    assert low <= found.confusion.scores().pixel_accuracy <= high
    assert any(text.startswith("3 groups") and "rough" in text for text in found.warnings)


def test_only_what_is_annotated_is_predicted(slides):
    evaluator = SlideEvaluator(MODEL, TISSUE8, config())
    seen = []

    class Watching:
        def __init__(self, runtime):
            self.runtime = runtime

        def predict(self, tiles):
            seen.append(tiles.shape)
            return self.runtime.predict(tiles)

    small = Annotation("a", box(640, 400, 20, 20), (), 0)
    case = Annotated(slides[0].path, "a", AnnotationLayer([small], [3]))
    evaluator.add(slides[0])
    for shape, runtime in evaluator._runtimes.items():
        evaluator._runtimes[shape] = Watching(runtime)
    evaluator.add(case)
    assert len(seen) == 1
    assert evaluator.result().cases[1].confusion.counts.sum() == 100


def test_what_cannot_be_read_is_in_no_score(slides, monkeypatch):
    class Damaged(ArraySlide):
        def _read_inside(self, level, inside):
            if inside.x < 200:
                raise SlideReadError("damaged")
            return super()._read_inside(level, inside)

    rgb = np.full((400, 600, 3), 150, np.uint8)
    area = Annotation("a", box(0, 0, 600, 400), (), 0)
    case = Annotated(Path("damaged.tiff"), "a", AnnotationLayer([area], [3]))
    monkeypatch.setattr(case, "open", lambda: Damaged(rgb, mpp=(1.0, 1.0)), raising=False)
    evaluator = SlideEvaluator(MODEL, TISSUE8, config(tissue="none"))
    evaluator.add(case)
    found = evaluator.result()
    assert found.cases[0].unread_px >= 200 * 400
    assert found.cases[0].unread_px + found.confusion.counts.sum() == 600 * 400
    assert any("could not be read: in no score" in text for text in found.warnings)


def test_a_result_of_another_model_or_slide_is_refused(slides, results, tmp_path):
    other = SlideEvaluator(integer_model(2), TISSUE8, config(predictions=str(results)))
    with pytest.raises(InputRefusedError, match="by another model"):
        other.add(slides[0])
    moved = tmp_path / slides[0].path.name
    moved.write_bytes(slides[1].path.read_bytes())
    evaluator = SlideEvaluator(MODEL, TISSUE8, config(predictions=str(results)))
    with pytest.raises(InputRefusedError, match="was made of another file"):
        evaluator.add(Annotated(moved, "a", slides[0].layer))
    evaluator = SlideEvaluator(MODEL, TISSUE8, config(predictions=str(tmp_path)))
    with pytest.raises(InputRefusedError, match="no such folder"):
        evaluator.add(slides[0])


def test_classes_meet_by_name_and_marks_stay():
    shuffled = tuple(item.model_copy(update={"id": (item.id + 3) % 8}) for item in TISSUE8.classes)
    table = slide_table(MODEL.card, ClassMap(classes=shuffled), config())
    assert [int(table[label]) for label in range(8)] == [3, 4, 5, 6, 7, 0, 1, 2]
    assert (table[254], table[255]) == (254, 255)
    lacking = ClassMap(classes=TISSUE8.classes[:-1])
    with pytest.raises(InputRefusedError, match="predicts 'necrosis'"):
        slide_table(MODEL.card, lacking, config())
