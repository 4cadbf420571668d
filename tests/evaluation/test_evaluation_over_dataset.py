"""A model over a data set: one matrix whatever the batch, at full size, classes met by name."""

import numpy as np
import official_layouts as made
import pytest
import torch
from small_models import IntegerNetwork

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.datasets.cityscapes import open_cityscapes
from wsiseg.datasets.cityscapes_classes import CATEGORIES, CATEGORY_OF, CITYSCAPES, SEVEN
from wsiseg.datasets.image_folder import open_image_folder
from wsiseg.datasets.mapillary import open_mapillary
from wsiseg.datasets.voc import open_voc
from wsiseg.datasets.voc_classes import VOC
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.evaluation.confusion import Confusion
from wsiseg.evaluation.over_dataset import evaluate_pictures, first_pictures, need_truth, read_ahead
from wsiseg.evaluation.whole_picture import PicturePredictor, channel_table, choose_device, never_predicted
from wsiseg.models import Architecture, Model, ModelCard, build_model
from wsiseg.models.public_classes import CITYSCAPES_VOID

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def card(classes, **changes):
    fields = {
        "name": "small",
        "summary": "Untrained, for tests.",
        "architecture": Architecture(name="espnet", num_classes=len(classes), options={"alpha3": 1}),
        "classes": classes.classes,
        "domain": "photo",
        "input_scale": 0.5,
        "mean": (128.0, 128.0, 128.0),
        "std": (64.0, 64.0, 64.0),
        "licence": "Apache-2.0",
        "source": "tests",
        "training_data": "none",
    }
    return ModelCard(**(fields | changes))


def untrained(classes, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build_model("espnet", num_classes=len(classes), alpha3=1).eval()
    return Model(network, card(classes, **changes))


@pytest.mark.parametrize("opened", ["voc", "cityscapes"])
def test_the_result_does_not_depend_on_the_batch(tmp_path, opened):
    """VOC's pictures have two sizes here, so that batches are cut where the size changes."""
    pictures = open_voc(made.voc(tmp_path)) if opened == "voc" else open_cityscapes(made.cityscapes(tmp_path))
    predict = PicturePredictor(untrained(pictures.classes), CPU)
    found = [
        evaluate_pictures(predict, pictures, batch=batch, workers=workers, worst_cases=3)
        for batch, workers in ((1, 1), (2, 3), (3, 2))
    ]
    assert found[0].confusion.counts.sum() > 0
    for other in found[1:]:
        assert np.array_equal(other.confusion.counts, found[0].confusion.counts)
        assert [(case.name, case.mean_iou) for case in other.worst] == [
            (case.name, case.mean_iou) for case in found[0].worst
        ]
        assert other.pictures == 3


def test_the_matrix_is_the_slow_one(tmp_path):
    """Against a loop over pictures and pixels, with predictions that the test makes itself."""
    pictures = open_cityscapes(made.cityscapes(tmp_path))
    predict = PicturePredictor(untrained(CITYSCAPES), CPU)
    kept = {}
    found = evaluate_pictures(
        predict, pictures, keep=lambda sample, labels: kept.__setitem__(sample.name, (sample.labels, labels))
    )
    assert list(kept) == list(made.CITIES)
    slow = np.zeros((19, 20), np.int64)
    for sample in pictures:
        own = predict(sample.rgb[None])[0]
        assert np.array_equal(kept[sample.name][1], own)
        for true, predicted in zip(sample.labels.ravel(), own.ravel(), strict=True):
            if true != 255:
                slow[true, predicted] += 1
    assert np.array_equal(found.confusion.counts, slow)


def test_logits_are_upsampled_before_the_argmax():
    """A coarse network's labels change between its own pixels, where nearest would make squares of 8."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model("espnet-c", num_classes=19, alpha3=1).eval()
    architecture = Architecture(name="espnet-c", num_classes=19, options={"alpha3": 1})
    model = Model(network, card(CITYSCAPES, architecture=architecture, input_scale=1.0))
    rgb = made.picture(3, (61, 83))
    found = PicturePredictor(model, CPU)(rgb[None])[0]
    assert found.shape == (61, 83)
    padded = np.pad(rgb, ((0, 3), (0, 5), (0, 0)), mode="edge")
    with torch.no_grad():
        logits = network((torch.from_numpy(padded.copy()).permute(2, 0, 1)[None].float() - 128) / 64)
        large = torch.nn.functional.interpolate(logits, scale_factor=8, mode="bilinear", align_corners=False)
    assert np.array_equal(found, large[0, :, :61, :83].argmax(0).numpy())
    squares = logits[0].argmax(0).numpy().repeat(8, 0).repeat(8, 1)[:61, :83]
    assert (found != squares).any()


def test_void_is_not_predicted_and_classes_meet_by_name():
    shuffled = ClassMap(
        classes=tuple(
            item.model_copy(update={"id": 18 - item.id if item.id < 19 else 19})
            for item in CITYSCAPES_VOID.classes
        )
    )
    table = channel_table(card(shuffled), CITYSCAPES, {}, {})
    assert [int(table[label]) for label in range(19)] == list(range(18, -1, -1))
    assert never_predicted(table, card(shuffled), CITYSCAPES) == ()


def test_spelling_and_other_names():
    mine = ClassMap(
        classes=(
            LabelClass(id=0, name="Dining-Table", colour=(0, 0, 0)),
            LabelClass(id=1, name="telly", colour=(0, 0, 0)),
        )
    )
    given = card(mine)
    table = channel_table(given, VOC, {}, {"telly": "tvmonitor"})
    assert (table[0], table[1]) == (11, 20)
    assert len(never_predicted(table, given, VOC)) == 19
    with pytest.raises(InputRefusedError, match="predicts 'telly', which the data set does not have"):
        channel_table(given, VOC, {}, {})
    with pytest.raises(UsageError, match="has no class of that name"):
        channel_table(given, VOC, {}, {"television": "tvmonitor"})


def test_nineteen_classes_are_merged_before_scoring(tmp_path):
    pictures = open_mapillary(made.mapillary(tmp_path))
    predict = PicturePredictor(untrained(CITYSCAPES_VOID), CPU)
    found = evaluate_pictures(predict, pictures)
    slow = Confusion(SEVEN.ids)
    names = {item.id: item.name for item in CITYSCAPES.classes}
    for sample in pictures:
        own = predict(sample.rgb[None])[0]
        assert own.max() > 6
        slow.add(sample.labels, np.vectorize(lambda label: CATEGORY_OF[names[label]])(own).astype(np.uint8))
    assert np.array_equal(found.confusion.counts, slow.counts)
    seven = PicturePredictor(untrained(SEVEN), CPU)
    assert evaluate_pictures(seven, pictures).confusion.counts.sum() == slow.counts.sum()


def test_grouping_equals_relabelling(tmp_path):
    random = np.random.default_rng(0)
    truth = random.choice([*range(19), 255], (60, 60)).astype(np.uint8)
    predicted = random.choice([*range(19), 200], (60, 60)).astype(np.uint8)
    fine, coarse = Confusion(CITYSCAPES.ids), Confusion(tuple(range(7)))
    fine.add(truth, predicted)
    table = np.arange(256, dtype=np.uint8)
    table[:19] = [CATEGORY_OF[item.name] for item in CITYSCAPES.classes]
    coarse.add(table[truth], table[predicted])
    grouped = fine.grouped(list(CATEGORIES.values()))
    assert np.array_equal(grouped.counts, coarse.counts)
    assert grouped.unexpected_px == coarse.unexpected_px > 0
    left_out = fine.grouped([(0, 1), (2,)])
    assert left_out.counts.sum() == fine.counts[:3].sum()
    for groups in ([(0,), (0, 1)], [(33,)]):
        with pytest.raises(ValueError, match="each id in one group"):
            fine.grouped(groups)


def test_frequency_weighted_iou_by_hand():
    confusion = Confusion((0, 1, 2))
    confusion.add(np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8))
    assert confusion.scores().frequency_weighted_iou == pytest.approx(0.75 * 2 / 3 + 0.25 * 1 / 2)
    assert Confusion((0,)).scores().frequency_weighted_iou is None


def test_worst_cases_are_the_worst(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path))
    predict = PicturePredictor(untrained(CITYSCAPES), CPU)
    each = {}
    for sample in pictures:
        one = Confusion(CITYSCAPES.ids)
        one.add(sample.labels, predict(sample.rgb[None])[0])
        each[sample.name] = one.scores().mean_iou
    found = evaluate_pictures(predict, pictures, worst_cases=2)
    assert [case.name for case in found.worst] == sorted(each, key=each.get)[:2]
    assert found.worst[0].mean_iou == min(each.values())


def test_slide_models_are_padded_with_white_and_said_so(tmp_path):
    classes = open_image_folder(made.folder(tmp_path)).classes
    slide = {"domain": "slide", "mpp": 1.0, "input_scale": None}
    seen = []

    class Watching(IntegerNetwork):
        def forward(self, image):
            seen.append(image)
            return super().forward(image)[:, :3]

    model = Model(Watching(), card(classes, **slide, std=(1, 1, 1)))
    labels = PicturePredictor(model, CPU)(np.zeros((1, 10, 12, 3), np.uint8))
    assert labels.shape == (1, 10, 12)
    assert set(np.unique(labels)) <= {0, 3, 7}
    assert seen[0].shape == (1, 3, 16, 16)
    assert (seen[0][0, :, :10, :12] == -128).all()
    assert (seen[0][0, :, 10:] == 127).all()
    found = evaluate_pictures(PicturePredictor(model, CPU), open_image_folder(tmp_path))
    assert any("1.0 um per pixel" in text for text in found.warnings)


def test_reading_ahead_keeps_the_order_and_passes_errors_on(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path))
    assert [sample.name for sample in read_ahead(pictures, 4)] == list(made.CITIES)
    pictures.items[1].image.write_bytes(b"damaged")
    with pytest.raises(InputRefusedError, match=made.CITIES[1]):
        list(read_ahead(pictures, 2))


def test_a_part_of_a_data_set_is_said(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path))
    assert "only the first 2 of 3" in first_pictures(pictures, 2).warnings[-1]
    assert first_pictures(pictures, 3) is pictures
    with pytest.raises(InputRefusedError, match="labels are not published"):
        need_truth(open_cityscapes(made.cityscapes(tmp_path, "test"), "test"))


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(UsageError, match="torch sees none"):
        choose_device("cuda")
