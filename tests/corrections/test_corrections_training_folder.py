"""Corrections as a folder to train on: exact polygons, a list that grows, and refusals."""

import csv

import numpy as np
import pytest

from wsiseg.annotations.rasterise import rasterise
from wsiseg.annotations.reading import read_annotations
from wsiseg.class_map import TISSUE8
from wsiseg.cli.main import main
from wsiseg.config import SlidesData
from wsiseg.corrections.store import Corrections, open_corrections
from wsiseg.corrections.training_folder import write_training_row
from wsiseg.datasets.slide_list import open_slide_list
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.label_import import ImportOptions, import_annotations
from wsiseg.phantom.slide_file import write_phantom_slide

AREA = Region(100, 50, 200, 160)


def corrected(folder, name, seed, slide_mpp=None):
    """Return a slide and the corrections of a result of it, at twice its um per pixel."""
    slide = folder / f"{name}.tiff"
    write_phantom_slide(slide, seed=seed, width_px=640, height_px=480, mpp=0.5)
    square = folder / f"{name}.geojson"
    square.write_text(
        '{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": '
        '[[[0, 0], [640, 0], [640, 480], [0, 480], [0, 0]]]}, "properties": {"name": "blood"}}'
    )
    options = ImportOptions(mpp=1.0 if slide_mpp is None else 2 * slide_mpp[0], slide_mpp=slide_mpp)
    result = import_annotations(square, slide, folder, options).store
    labels = np.full(AREA.shape, 255, np.uint8)
    labels[10:90, 10:100], labels[90:150, 50:190], labels[30:60, 30:50] = 3, 2, 255
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(AREA, labels)
        whole = corrections.read(corrections.whole)
    return slide, open_corrections(open_label_store(result)), whole


def data(folder, split):
    return SlidesData(dataset="slides", root=folder, split=split)


def test_it_is_a_data_set_as_it_is(tmp_path):
    folder = tmp_path / "training"
    cases = {split: corrected(tmp_path, name, number) for number, (name, split) in
             enumerate((("a", "train"), ("b", "val")))}  # fmt: skip
    for split, (slide, store, _) in cases.items():
        row = write_training_row(store, slide, folder, split)
        assert row.polygons == 2
    assert row.slides == {"train": 1, "val": 1}
    for split, (slide, _, whole) in cases.items():
        slides = open_slide_list(data(folder, split))
        slides.check_annotations()
        (case,) = slides
        assert case.row.slide == slide.resolve()
        assert [item.name for item in case.classes.classes] == [item.name for item in TISSUE8.classes]
        rows, columns = whole.shape
        assert np.array_equal(case.labels(Region(0, 0, columns, rows), (2.0, 2.0)), whole)


def test_the_store_itself_is_an_annotation_too(tmp_path):
    slide, store, whole = corrected(tmp_path, "a", 1)
    (tmp_path / "slides.csv").write_text(f"slide,annotation,split\n{slide.name},{store.path.name},train\n")
    (case,) = open_slide_list(SlidesData(dataset="slides", root=tmp_path, split="train", classes=None))
    assert np.array_equal(case.labels(Region(0, 0, *reversed(whole.shape)), (2.0, 2.0)), whole)


def test_done_again_it_replaces_and_keeps_what_a_person_wrote(tmp_path):
    slide, store, _ = corrected(tmp_path, "a", 1)
    folder = tmp_path / "training"
    write_training_row(store, slide, folder)
    path = folder / "slides.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    rows[0]["patient"] = "p1"
    path.write_text(
        "slide,annotation,patient,split\n"
        f"{rows[0]['slide']},{rows[0]['annotation']},p1,train\nother.svs,other.geojson,p2,val\n"
    )
    row = write_training_row(store, slide, folder, "test")
    assert row.slides == {"val": 1, "test": 1}
    found = list(csv.DictReader(path.read_text().splitlines()))
    assert [(item["annotation"], item["patient"], item["split"]) for item in found] == [
        ("other.geojson", "p2", "val"),
        ("a.corrections.geojson", "p1", "test"),
    ]


def test_a_slide_in_the_folder_is_named_from_there(tmp_path):
    slide, store, _ = corrected(tmp_path, "a", 1)
    write_training_row(store, slide, tmp_path)
    assert next(csv.DictReader((tmp_path / "slides.csv").read_text().splitlines()))["slide"] == "a.tiff"


def test_a_pixel_size_that_was_told_goes_along(tmp_path):
    slide, store, _ = corrected(tmp_path, "a", 1, slide_mpp=(0.25, 0.25))
    folder = tmp_path / "training"
    write_training_row(store, slide, folder)
    (case,) = open_slide_list(data(folder, "train"))
    assert case.slide_mpp == (0.25, 0.25)


def test_what_cannot_be_written_is_refused(tmp_path):
    slide, store, _ = corrected(tmp_path, "a", 1)
    other, other_store, _ = corrected(tmp_path, "b", 2)
    folder = tmp_path / "training"
    with pytest.raises(InputRefusedError, match="another slide"):
        write_training_row(store, other, folder)
    with pytest.raises(UsageError, match="split"):
        write_training_row(store, slide, folder, "validation")
    folder.mkdir()
    (folder / "slides.csv").write_text(f"slide,annotation\n{slide},by-hand.geojson\n")
    with pytest.raises(UsageError, match=r"already has by-hand\.geojson"):
        write_training_row(store, slide, folder)
    (folder / "classes.yaml").write_text("classes:\n- {id: 0, name: glass, colour: [0, 0, 0]}\n")
    with pytest.raises(UsageError, match="other classes"):
        write_training_row(other_store, other, folder)
    (folder / "slides.csv").write_text("a,b\n")
    with pytest.raises(InputRefusedError, match="expected slide"):
        write_training_row(other_store, other, folder)
    assert not list(folder.glob("*.geojson"))


def test_nothing_corrected_is_nothing_to_export(tmp_path):
    slide, store, whole = corrected(tmp_path, "a", 1)
    result = tmp_path / "a.annotations.wsiseg.ome.zarr"
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(corrections.whole, np.full(whole.shape, 255, np.uint8))
    with pytest.raises(UsageError, match="nothing is corrected"):
        write_training_row(store, slide, tmp_path / "training")
    assert not list((tmp_path / "training").glob("*.geojson"))


def test_the_export_verb_takes_them(tmp_path, monkeypatch, capsys):
    _, store, whole = corrected(tmp_path, "a", 1)
    monkeypatch.setattr("sys.argv", ["wsiseg", "export", str(store.path), "--format", "geojson"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().err
    areas = read_annotations(tmp_path / "a.annotations.corrections.geojson")
    drawn = rasterise(areas, TISSUE8, Region(0, 0, *reversed(whole.shape)), (2.0, 2.0))
    assert np.array_equal(drawn, whole)


def test_a_picture_is_not_looked_for(tmp_path):
    _, store, _ = corrected(tmp_path, "a", 1)
    with pytest.raises(InputRefusedError, match="holds no image"):
        store.coarse_image()
