"""Slides and annotations: paired by name, divided by patient, names mapped in the config, from a store."""

import json

import numpy as np
import pytest
from label_stores import make_store
from PIL import Image
from pydantic import ValidationError

from wsiseg.class_map import TISSUE8
from wsiseg.config import SlidesData
from wsiseg.datasets.slide_list import open_slide_list
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region

SIDE = 64


def slide(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (200, 150, 180)).save(path)


def square(name, x=8, side=32):
    ring = [[x, x], [x + side, x], [x + side, x + side], [x, x + side], [x, x]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


def annotate(path, *features):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}), encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    for name in ("one", "two", "three"):
        slide(tmp_path / "slides" / f"{name}.png")
        annotate(tmp_path / "annotations" / f"{name}.geojson", square("blood"))
    (tmp_path / "slides" / ".hidden").write_text("of the file system")
    return tmp_path


def paired(root, **changes):
    return SlidesData(dataset="slides", root=root, list=None, classes=None, **changes)


def test_slides_are_paired_by_their_ids(root):
    found = open_slide_list(paired(root))
    assert sorted(case.name for case in found) == ["one", "three", "two"]
    for case in found:
        labels = case.labels(Region(0, 0, SIDE, SIDE), (1.0, 1.0))
        slow = np.full((SIDE, SIDE), 255, np.uint8)
        slow[8:40, 8:40] = 6
        assert np.array_equal(labels, slow)


def test_a_slide_with_no_annotation_or_with_two(root):
    annotate(root / "annotations" / "one.xml")
    with pytest.raises(InputRefusedError, match=r"one\.geojson and one\.xml are both of one\.png"):
        open_slide_list(paired(root))
    (root / "annotations" / "one.xml").unlink()
    (root / "annotations" / "two.geojson").unlink()
    with pytest.raises(InputRefusedError, match=r"no annotation of two\.png \(1 of 3 slides\)"):
        open_slide_list(paired(root))
    with pytest.raises(InputRefusedError, match=r"leads out of data\.root"):
        open_slide_list(paired(root, slides_in="../elsewhere"))
    with pytest.raises(InputRefusedError, match="no such folder"):
        open_slide_list(paired(root, slides_in="elsewhere"))


def test_annotation_names_are_mapped_in_the_config(root):
    annotate(root / "annotations" / "one.geojson", square("Tumor"), square("Ink", x=16, side=8))
    case = next(case for case in open_slide_list(paired(root)) if case.name == "one")
    with pytest.raises(InputRefusedError, match=r"'Ink' \(1\), 'Tumor' \(1\)"):
        case.labels(Region(0, 0, SIDE, SIDE), (1.0, 1.0))
    names = {"tumor": "malignant epithelium", "Ink": None}
    case = next(case for case in open_slide_list(paired(root, rename=names)) if case.name == "one")
    slow = np.full((SIDE, SIDE), 255, np.uint8)
    slow[8:40, 8:40] = 2
    slow[16:24, 16:24] = 255
    assert np.array_equal(case.labels(Region(0, 0, SIDE, SIDE), (1.0, 1.0)), slow)
    with pytest.raises(UsageError, match=r"class in data\.rename 'tumour'"):
        open_slide_list(paired(root, rename={"Tumor": "tumour"}))


def test_patients_are_divided_and_never_between_the_parts(tmp_path):
    rows = ["slide,annotation,patient"]
    for number in range(12):
        slide(tmp_path / f"s{number}.png")
        annotate(tmp_path / f"s{number}.geojson", square("blood"))
        rows.append(f"s{number}.png,s{number}.geojson,p{number // 2}")
    (tmp_path / "slides.csv").write_text("\n".join(rows), encoding="utf-8")

    def part(split, seed=0):
        data = SlidesData(
            dataset="slides", root=tmp_path, classes=None, split=split, validation_share=0.34, split_seed=seed
        )
        return list(open_slide_list(data))

    training, validation = part("train"), part("val")
    assert len(training) == 8
    assert len(validation) == 4
    assert not {case.group for case in training} & {case.group for case in validation}
    assert {case.name for case in [*training, *validation]} == {case.name for case in part(None)}
    others = {tuple(sorted({case.group for case in part("val", seed)})) for seed in range(8)}
    assert len(others) > 1


def test_a_share_beside_a_column_of_splits_is_refused(tmp_path):
    slide(tmp_path / "s.png")
    annotate(tmp_path / "s.geojson", square("blood"))
    (tmp_path / "slides.csv").write_text("slide,annotation,split\ns.png,s.geojson,train", encoding="utf-8")
    data = SlidesData(dataset="slides", root=tmp_path, classes=None, split="train", validation_share=0.5)
    with pytest.raises(InputRefusedError, match="keep one of them"):
        open_slide_list(data)
    with pytest.raises(ValidationError, match="train or val, not test"):
        SlidesData(dataset="slides", root=tmp_path, split="test", validation_share=0.5)


def test_a_label_store_is_an_annotation(tmp_path):
    """At its own pixels, and coarser: the value of the nearest pixel; unread and not analysed are 255."""
    slide(tmp_path / "slides" / "one.png")
    labels = np.random.default_rng(3).choice(np.array([1, 2, 3, 254, 255], np.uint8), (16, 16)).repeat(2, 0)
    labels = np.ascontiguousarray(labels.repeat(2, 1))
    run = {
        "slide": {
            "name": "one.png",
            "fingerprint": "a",
            "mpp": [0.5, 0.5],
            "width_px": SIDE,
            "height_px": SIDE,
        },
        "label_mpp": [1.0, 1.0],
    }
    (tmp_path / "annotations").mkdir()
    make_store(tmp_path / "annotations" / "one.annotations.wsiseg.ome.zarr", labels, run=run)
    rows = "slide,annotation,slide_mpp\nslides/one.png,annotations/one.annotations.wsiseg.ome.zarr,0.5\n"
    (tmp_path / "slides.csv").write_text(rows, encoding="utf-8")
    expected = np.where(labels >= 254, 255, labels)
    (case,) = open_slide_list(SlidesData(dataset="slides", root=tmp_path, classes=None))
    assert np.array_equal(case.labels(Region(0, 0, 32, 32), (2.0, 2.0)), expected)
    at_slide = case.labels(Region(3, 5, 40, 30), (1.0, 1.0))
    assert np.array_equal(at_slide, expected.repeat(2, 0).repeat(2, 1)[5:35, 3:43])
    assert next(iter(open_slide_list(paired(tmp_path)))).row.annotation == case.row.annotation
    assert set(TISSUE8.ids) >= {1, 2, 3}
