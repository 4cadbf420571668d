"""The official layouts, whole, partial and hostile."""

import json

import numpy as np
import official_layouts as made
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from wsiseg.config import CityscapesData, FolderData, MapillaryData, VocData
from wsiseg.datasets.catalogue import DATASETS, open_dataset
from wsiseg.datasets.cityscapes import open_cityscapes
from wsiseg.datasets.cityscapes_classes import CATEGORIES, CATEGORY_OF, CITYSCAPES, LABEL_IDS, SEVEN
from wsiseg.datasets.image_folder import open_image_folder
from wsiseg.datasets.mapillary import open_mapillary
from wsiseg.datasets.mapillary_classes import V12
from wsiseg.datasets.voc import Extra, open_voc
from wsiseg.datasets.voc_classes import VOC, voc_colour
from wsiseg.errors import InputRefusedError, UsageError


def refused(opening, *words):
    with pytest.raises(InputRefusedError) as caught:
        opening()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_cityscapes_by_label_ids(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path))
    assert [item.name for item in pictures.items] == list(made.CITIES)
    rgb, labels, name = pictures[1]
    assert (rgb.shape, rgb.dtype, labels.dtype, name) == ((48, 64, 3), np.uint8, np.uint8, made.CITIES[1])
    assert np.array_equal(rgb, made.picture(1))
    slow = np.full((48, 64), 255, np.uint8)
    for label, value in enumerate(LABEL_IDS):
        slow[made.blocks(1, list(range(34))) == value] = label
    assert np.array_equal(labels, slow)
    assert "3 pictures, officially 500" in pictures.warnings[0]


def test_cityscapes_by_train_ids(tmp_path):
    root = made.cityscapes(tmp_path, values=[*range(19), 255], kind="labelTrainIds")
    assert np.array_equal(
        open_cityscapes(root, labels="labelTrainIds")[0].labels, made.blocks(0, [*range(19), 255])
    )
    refused(lambda: open_cityscapes(root), "no *_gtFine_labelIds.png", "--set data.labels=labelTrainIds")


def test_cityscapes_test_has_no_truth(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path, "test"), "test")
    assert not pictures.has_truth
    assert (pictures[0].labels == 255).all()


def test_a_complete_copy_is_not_warned_of(tmp_path, monkeypatch):
    monkeypatch.setitem(open_cityscapes.__globals__["OFFICIAL_COUNTS"], "val", 3)
    assert open_cityscapes(made.cityscapes(tmp_path)).warnings == ()


def test_cityscapes_folders_that_lack_something(tmp_path):
    refused(lambda: open_cityscapes(tmp_path / "absent"), "no such folder", "--set data.root=FOLDER")
    refused(lambda: open_cityscapes(tmp_path), "leftImg8bit", "official layout")
    root = made.cityscapes(tmp_path)
    for name in made.CITIES[1:]:
        (root / "gtFine" / "val" / name.split("_")[0] / f"{name}_gtFine_labelIds.png").unlink()
    refused(lambda: open_cityscapes(root), made.CITIES[1], "and 1 more (2 of 3 label images)")
    made.cityscapes(tmp_path)
    (root / "leftImg8bit" / "val" / "bochum" / f"{made.CITIES[2]}_leftImg8bit.png").unlink()
    refused(lambda: open_cityscapes(root), f"{made.CITIES[2]}_leftImg8bit.png", "1 of 3 pictures")
    (root / "leftImg8bit" / "val" / "empty").mkdir()
    for path in root.glob("leftImg8bit/val/*/*.png"):
        path.unlink()
    refused(lambda: open_cityscapes(root), "holds no CITY/*_leftImg8bit.png")


def test_label_images_that_are_not_what_they_should_be(tmp_path):
    root = made.cityscapes(tmp_path)
    pictures = open_cityscapes(root)
    path = pictures.items[0].labels
    made.save(path, np.full((48, 64), 99, np.uint8))
    refused(lambda: pictures[0], "value 99 (3072 px)", path.name)
    made.save(path, made.picture(0))
    refused(lambda: pictures[0], "is a colour picture")
    Image.fromarray(np.full((48, 64), 24_000, np.uint16)).save(path)
    refused(lambda: pictures[0], "I;16", "instance")
    made.save(path, np.full((40, 64), 7, np.uint8))
    refused(lambda: pictures[0], "64 x 48 px, its labels are 64 x 40")
    path.write_bytes(path.read_bytes()[:60])
    refused(lambda: pictures[0], "cannot be read as a label image")
    path.write_bytes(b"GIF89a")
    refused(lambda: pictures[0], "expected a whole PNG or JPEG")
    path.unlink()
    refused(lambda: pictures[0], "is gone")


def test_a_picture_that_would_fill_the_memory(tmp_path):
    root = made.cityscapes(tmp_path)
    path = open_cityscapes(root).items[0].image
    Image.new("1", (9000, 9000)).save(path)
    refused(lambda: open_cityscapes(root)[0], "9000 x 9000 px", "at most 64 megapixels")
    Image.new("1", (20_000, 20_000)).save(path)
    refused(lambda: open_cityscapes(root)[0], "cannot be read")


def test_voc(tmp_path):
    pictures = open_voc(made.voc(tmp_path))
    assert np.array_equal(pictures[2].labels, made.blocks(2, [*range(21), 255], (64, 40)))
    assert pictures[2].rgb.shape == (64, 40, 3)
    assert np.array_equal(open_voc(tmp_path / "VOC2012")[0].rgb, pictures[0].rgb)
    assert "3 pictures, officially 1449" in pictures.warnings[0]
    assert len(VOC) == 21
    # As printed in the development kit.
    assert [voc_colour(value) for value in (0, 1, 2, 15, 20, 255)] == [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (192, 128, 128),
        (0, 64, 128),
        (224, 224, 192),
    ]


def test_voc_with_extra_lists(tmp_path):
    made.voc(tmp_path, "train")
    sbd = tmp_path / "sbd"
    for name in ("2008_000002", "2008_000003"):
        made.save(sbd / "img" / f"{name}.jpg", made.picture(5))
        made.save(sbd / "cls" / f"{name}.png", made.blocks(5, [0, 15, 255]), palette=True)
    names = tmp_path / "sbd.txt"
    names.write_text(f"2008_000002\n2008_000003\n{made.VOC_NAMES[0]}\n")
    extra = [Extra(names, sbd / "img", sbd / "cls")]
    pictures = open_voc(tmp_path, "train", extra)
    assert [item.name for item in pictures.items] == [*made.VOC_NAMES, "2008_000002", "2008_000003"]
    assert np.array_equal(pictures[3].labels, made.blocks(5, [0, 15, 255]))
    (sbd / "cls" / "2008_000003.png").unlink()
    refused(lambda: open_voc(tmp_path, "train", extra), "2008_000003.png", "1 of 5 label images")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("../../secret\n", ("name 1 is '../../secret'", "without folder")),
        ("2007_000033\n2007_000033\n", ("1 names stand there more than once",)),
        ("", ("holds no names",)),
        ("2007_000033 1\n", ("name 1",)),
        ("2007_000033\n2007_999999\n", ("2007_999999.jpg", "1 of 2 pictures")),
    ],
)
def test_voc_lists_that_are_wrong(tmp_path, text, words):
    made.voc(tmp_path)
    (tmp_path / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").write_text(text)
    refused(lambda: open_voc(tmp_path), *words)


def test_voc_without_its_list(tmp_path):
    refused(lambda: open_voc(made.voc(tmp_path), "trainval"), "trainval.txt", "cannot be read")
    (tmp_path / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").write_bytes(b"\xff\xfe\x00")
    refused(lambda: open_voc(tmp_path), "is no text")


@pytest.mark.parametrize("folder", ["v1.2/labels", "labels"])
def test_mapillary_is_merged(tmp_path, folder):
    pictures = open_mapillary(made.mapillary(tmp_path, folder))
    assert pictures.classes == SEVEN
    slow = made.blocks(0, list(range(66)))
    names = [item.name for item in SEVEN.classes]
    for (row, column), value in np.ndenumerate(slow.copy()):
        into = V12[value][1]
        slow[row, column] = names.index(into) if into else 255
    assert np.array_equal(pictures[0].labels, slow)
    assert "3 pictures, officially 2000" in pictures.warnings[0]


def test_the_tables_of_classes():
    assert len(V12) == 66
    assert len({name for name, _ in V12}) == 66
    assert V12[65] == ("void--unlabeled", None)
    assert {into for _, into in V12} == {*CATEGORIES, None}
    assert len(CITYSCAPES) == 19
    assert len(CATEGORY_OF) == 19
    assert SEVEN.by_id(CATEGORY_OF["rider"]).name == "human"


def test_mapillary_v2_is_refused_with_the_reason(tmp_path):
    root = made.mapillary(tmp_path / "only", "v2.0/labels")
    refused(lambda: open_mapillary(root), "v2.0 only", "124", "use the labels of v1.2")
    bare = made.mapillary(tmp_path / "bare", "labels")
    labels = [{"name": f"class-{index}"} for index in range(124)]
    (bare / "config_v1.2.json").rename(bare / "config.json")
    (bare / "config.json").write_text(json.dumps({"version": "2.0", "labels": labels}))
    refused(lambda: open_mapillary(bare), "lists 124 classes, version 2.0")


def test_mapillary_with_another_list_of_classes(tmp_path):
    root = made.mapillary(tmp_path)
    labels = [{"name": name} for name, _ in V12]
    labels[13], labels[15] = labels[15], labels[13]
    (root / "config_v1.2.json").write_text(json.dumps({"labels": labels}))
    refused(lambda: open_mapillary(root), "class 13 is 'construction--flat--sidewalk'", "flat--road")
    for text in ("[" * 100_000, "{}", '{"labels": 3}', "no json"):
        (root / "config_v1.2.json").write_text(text)
        refused(lambda: open_mapillary(root), "is no class list")


def test_mapillary_that_lacks_something(tmp_path):
    root = made.mapillary(tmp_path)
    (root / "validation" / "images" / "b.jpg").unlink()
    refused(lambda: open_mapillary(root), "b.jpg", "1 of 3 pictures")
    (root / "validation" / "v1.2" / "labels" / "a-_1.png").unlink()
    refused(lambda: open_mapillary(root), "a-_1.png", "1 of 2 label images")
    refused(lambda: open_mapillary(root, "training"), "official layout of Mapillary")


def test_image_folder(tmp_path):
    root = made.folder(tmp_path)
    pictures = open_image_folder(root)
    assert sorted(item.name for item in pictures.items) == ["one", "three", "two"]
    assert [item.id for item in pictures.classes.classes] == [0, 3, 7]
    assert np.array_equal(pictures[0].labels, made.blocks(0, [0, 3, 7, 255]))
    made.save(root / "masks" / "alone.png", made.blocks(0, [0]))
    assert "1 masks have no picture, first alone.png" in open_image_folder(root).warnings[0]
    made.save(root / "masks" / "one.png", made.blocks(0, [1]))
    refused(lambda: open_image_folder(root)[0], "value 1 (3072 px)")
    (root / "masks" / "two.png").unlink()
    refused(lambda: open_image_folder(root), "two.png", "1 of 3 masks")


def test_image_folder_that_is_wrong(tmp_path):
    root = made.folder(tmp_path)
    refused(lambda: open_image_folder(root, images="../elsewhere"), "leads out of data.root")
    refused(lambda: open_image_folder(root, masks="other"), "data.masks")
    made.save(root / "images" / "one.jpg", made.picture(0))
    refused(lambda: open_image_folder(root), "1 names stand for two pictures", "'one'")
    (root / "images" / "one.jpg").unlink()
    (root / "classes.yaml").write_text("classes: 3")
    with pytest.raises(UsageError, match="classes"):
        open_image_folder(root)
    (root / "classes.yaml").unlink()
    refused(lambda: open_image_folder(root), "classes.yaml", "missing")


MADE = {
    "cityscapes": (made.cityscapes, CityscapesData),
    "image-folder": (made.folder, FolderData),
    "mapillary": (made.mapillary, MapillaryData),
    "voc": (made.voc, VocData),
}


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_keeps_the_contract(tmp_path, name):
    make, kind = MADE[name]
    pictures = open_dataset(name, kind(dataset=name, root=make(tmp_path)))
    assert pictures.dataset == name
    assert len({item.name for item in pictures.items}) == len(pictures) == 3
    allowed = {*pictures.classes.ids, 254, 255}
    loader = DataLoader(pictures, batch_size=None, collate_fn=lambda sample: sample)
    for number, (sample, again) in enumerate(zip(loader, pictures, strict=True)):
        assert sample.rgb.dtype == sample.labels.dtype == np.uint8
        assert sample.rgb.shape == (*sample.labels.shape, 3)
        assert set(np.unique(sample.labels)) <= allowed
        assert len(set(np.unique(sample.labels))) > 2
        assert np.array_equal(sample.labels, again.labels)
        assert sample.name == pictures.items[number].name
    with pytest.raises(IndexError):
        pictures[3]
    members = [label for group in pictures.categories.values() for label in group]
    assert sorted(members) in ([], sorted(pictures.classes.ids))
    assert set(pictures.merged.values()) <= set(pictures.classes.ids)


def test_the_catalogue_lists_its_names(tmp_path):
    data = CityscapesData(dataset="cityscapes", root=made.cityscapes(tmp_path))
    assert len(open_dataset("cityscapes", data)) == 3
    with pytest.raises(UsageError, match="expected one of cityscapes, image-folder, mapillary, voc"):
        open_dataset("kitti", data)
    assert list(DATASETS) == sorted(DATASETS)
