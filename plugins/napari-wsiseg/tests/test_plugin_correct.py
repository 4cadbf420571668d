"""Correcting in a real window: painted with napari's own tools, saved, taken back, exported, trained on."""

import csv
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import napari
import numpy as np
import pytest
import yaml
from PyQt6 import sip

from napari_wsiseg import closing, correcting
from napari_wsiseg.correct_dock import CorrectDock
from napari_wsiseg.correcting import correcting_of
from napari_wsiseg.correction_layers import CROP_LAYER, CorrectionsShown
from napari_wsiseg.keys import correct, save_corrections, undo_save
from napari_wsiseg.layers import shown_by
from napari_wsiseg.window import attach
from wsiseg import PredictOptions, segment_slide
from wsiseg.corrections.layout import work_folder
from wsiseg.corrections.store import Corrections, open_corrections
from wsiseg.errors import UsageError
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.phantom.slide_file import write_phantom_slide

LIMIT_MS = 120_000
ROOT = Path(__file__).resolve().parents[3]


def digest(folder):
    found = hashlib.sha256()
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        found.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def make_result(folder, name, seed):
    slide = folder / f"{name}.tiff"
    write_phantom_slide(slide, seed=seed, width_px=900, height_px=700, mpp=0.5)
    return slide, segment_slide(slide, folder, PredictOptions(image_mpp=2.0)).store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return folder, *make_result(folder, "slide", 3)


@pytest.fixture
def case(made, tmp_path):
    """A slide and its result, for one test alone."""
    folder, slide, result = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / slide.name, tmp_path / result.name


@pytest.fixture
def window(qtbot):
    """Windows of this plug-in that are closed at the end, whatever is painted."""
    opened = []

    def make(*paths):
        viewer = napari.Viewer(show=True)
        opened.append(viewer)
        attach(viewer)
        dock = CorrectDock(viewer)
        viewer.window.add_dock_widget(dock, name="wsiseg correct")
        for path in paths:
            viewer.open(str(path), plugin="napari-wsiseg")
        viewer.reset_view()
        return viewer, dock

    yield make
    for viewer in opened:
        correcting_of(viewer).discard()
        if sip.isdeleted(viewer.window._qt_window):  # closed as a user does; the rest of napari's end
            viewer._layer_slicer.shutdown()
            viewer.layers.clear()
        else:
            viewer.close()


def crop_of(viewer):
    return viewer.layers[CROP_LAYER]


def look_at(viewer, result, region, px_on_screen=1.0):
    """Put a rectangle of label pixels in the middle of the canvas, so large on the screen."""
    x, y = open_label_store(result).mpp
    viewer.scene.camera.center = (0.0, (region.y + region.height / 2) * y, (region.x + region.width / 2) * x)
    viewer.scene.camera.zoom = px_on_screen / x


def whole_of(store):
    rows, columns = store.shape(0)
    return Region(0, 0, columns, rows)


def test_from_painting_to_training(window, case, tmp_path, qtbot):
    """Open, correct, save, close, open again, export; `wsiseg train configs/finetune.yaml` takes it."""
    slide, result = case
    before = digest(result)
    predicted = open_label_store(result).read(0, whole_of(open_label_store(result)))
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(0, 0, predicted.shape[1], predicted.shape[0]), px_on_screen=0.5)
    dock.paint.click()
    crop = crop_of(viewer)
    origin = correcting_of(viewer).crop.region
    assert (crop.mode, viewer.layers.selection.active) == ("paint", crop)
    wanted = np.full(predicted.shape, 255, np.uint8)

    dock.label.setCurrentIndex(dock.label.findData(3))
    dock.label.activated.emit(dock.label.currentIndex())
    crop.paint_polygon(
        np.array([[100.0, 60.0], [100.0, 160.0], [220.0, 160.0], [220.0, 60.0]]) - (origin.y, origin.x),
        crop.selected_label,
    )
    rows, columns = np.nonzero(crop.data == 3)
    assert (rows.min() + origin.y, columns.min() + origin.x) == (100, 60)
    wanted[rows + origin.y, columns + origin.x] = 3
    dock.label.setCurrentIndex(dock.label.findData(7))
    dock.label.activated.emit(dock.label.currentIndex())
    crop.brush_size = 30
    crop.paint((300 - origin.y, 200 - origin.x), crop.selected_label)
    blob = np.nonzero(crop.data == 7)
    assert 500 < len(blob[0]) < 900
    wanted[blob[0] + origin.y, blob[1] + origin.x] = 7
    assert dock.save.isEnabled()
    dock.save.click()
    assert dock.status.text() == "saved in slide.corrections.wsiseg.ome.zarr"
    assert not dock.save.isEnabled()
    viewer.window._qt_window.close()  # as a user does; nothing is unsaved, so nothing is asked
    assert digest(result) == before, "the prediction is never touched"
    path = tmp_path / "slide.corrections.wsiseg.ome.zarr"
    assert not work_folder(path).exists()

    viewer, dock = window(slide, result)
    (layer,) = (item for item in viewer.layers if isinstance(shown_by(item), CorrectionsShown))
    store = shown_by(layer).store
    assert np.array_equal(store.read(0, whole_of(store)), wanted)
    folder = tmp_path / "my-slides"
    exported = tmp_path / "slide.geojson"
    with qtbot.waitSignal(dock.export_geojson(exported).done, timeout=LIMIT_MS):
        pass
    assert exported.stat().st_size > 1000
    with qtbot.waitSignal(dock.export_training(folder).done, timeout=LIMIT_MS):
        pass
    assert "needs a val slide" in dock.status.text()

    # Another slide, to choose the best weights by: all of what was predicted is taken as right.
    other_slide, other_result = make_result(tmp_path, "other", 5)
    viewer, dock = window(other_slide, other_result)
    store = open_label_store(other_result)
    look_at(viewer, other_result, whole_of(store), px_on_screen=0.5)
    dock.paint.click()
    dock.accept.click()
    dock.save.click()
    dock.split.setCurrentIndex(1)
    with qtbot.waitSignal(dock.export_training(folder).done, timeout=LIMIT_MS):
        pass
    assert "1 train, 1 val" in dock.status.text()
    rows = csv.DictReader((folder / "slides.csv").read_text(encoding="utf-8").splitlines())
    assert [row["split"] for row in rows] == ["train", "val"]

    config = yaml.safe_load((ROOT / "configs" / "finetune.yaml").read_text(encoding="utf-8"))
    assert config["data"]["train"]["root"] == "my-slides"
    config["data"].update(patch_px=64, patches_per_epoch=4)
    config["whole"]["epochs"] = 1
    config.update(batch=2, workers=0, threads=1, device="cpu")
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    train = "from wsiseg.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", train, "train", "finetune.yaml", "-o", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert (tmp_path / "run" / "best.safetensors").stat().st_size > 100_000


def test_the_frame_lies_on_the_labels(window, case, qtbot):
    """A pixel of the crop is a pixel of the labels, at the same place of the world."""
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(101, 83, 40, 30), px_on_screen=9.0)
    dock.paint.click()
    crop, region = crop_of(viewer), correcting_of(viewer).crop.region
    labels = next(layer for layer in viewer.layers if layer.name == "tissue of slide")
    assert crop.data.shape == region.shape
    assert region.area < 40_000
    for row, column in ((0, 0), (5, 9), (region.height - 1, region.width - 1)):
        world = crop.data_to_world((row, column))
        assert labels.world_to_data(world) == pytest.approx((region.y + row, region.x + column))


def test_undo_of_strokes_and_of_saves(window, case):
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    correct(viewer)
    crop = crop_of(viewer)
    crop.paint((50, 50), 2)
    once = crop.data.copy()
    crop.paint((90, 90), 4)
    crop.undo()
    assert np.array_equal(crop.data, once)
    save_corrections(viewer)
    crop.paint((120, 120), 6)
    assert not dock.undo.isEnabled()
    undo_save(viewer)
    assert "not saved" in dock.status.text(), "a save is not taken back from under what is painted"
    save_corrections(viewer)
    region = correcting_of(viewer).crop.region
    store = open_corrections(open_label_store(result))
    assert set(np.unique(store.read(0, region))) == {2, 6, 255}
    dock.undo.click()
    assert np.array_equal(store.read(0, region), once)
    assert np.array_equal(crop_of(viewer).data, once)
    undo_save(viewer)
    assert (store.read(0, region) == 255).all()
    undo_save(viewer)
    assert "nothing was saved" in dock.status.text()
    correct(viewer)
    crop_of(viewer).paint((10, 10), 5)
    dock.discard.click()
    assert CROP_LAYER not in viewer.layers
    assert (store.read(0, region) == 255).all()


def test_the_eraser_takes_a_correction_back(window, case):
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    dock.paint.click()
    crop = crop_of(viewer)
    crop.paint((50, 50), 0)  # class 0 is a class: background is a correction, too
    dock.save.click()
    region = correcting_of(viewer).crop.region
    store = open_corrections(open_label_store(result))
    assert (store.read(0, region) == 0).sum() > 20
    crop.brush_size = 40
    crop.paint((50, 50), crop.colormap.background_value)
    dock.save.click()
    assert (store.read(0, region) == 255).all()


def test_the_rest_is_right(window, case):
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    dock.paint.click()
    crop, region = crop_of(viewer), correcting_of(viewer).crop.region
    crop.paint((50, 50), 7)
    painted = crop.data == 7
    dock.accept.click()
    predicted = open_label_store(result).read(0, region)
    assert np.array_equal(crop.data[~painted], predicted[~painted])
    assert (crop.data[painted] == 7).all()
    crop.undo()
    assert (crop.data[~painted] == 255).all()


def test_painting_elsewhere_saves_first_and_a_removed_layer_loses_nothing(window, case):
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(50, 50, 100, 100), px_on_screen=6.0)
    dock.paint.click()
    crop_of(viewer).paint((20, 20), 2)
    at = correcting_of(viewer).crop.region
    look_at(viewer, result, Region(400, 300, 100, 100), px_on_screen=6.0)
    dock.paint.click()
    store = open_corrections(open_label_store(result))
    assert (store.read(0, at) == 2).sum() > 20
    crop_of(viewer).paint((30, 30), 5)
    viewer.layers.remove(crop_of(viewer))
    assert dock.save.isEnabled()
    dock.paint.click()
    assert "is back" in dock.status.text()
    assert (crop_of(viewer).data == 5).sum() > 20
    viewer.layers.remove(crop_of(viewer))
    dock.save.click()
    assert (store.read(0, correcting_of(viewer).crop.region) == 5).sum() > 20


@pytest.mark.parametrize("answer", ["save", "discard", "cancel"])
def test_closing_asks(window, case, monkeypatch, answer):
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    dock.paint.click()
    crop_of(viewer).paint((50, 50), 2)
    asked = []
    monkeypatch.setattr(closing, "ask", lambda parent: asked.append(parent) or answer)
    closed = viewer.window._qt_window.close()
    assert len(asked) == 1
    assert closed == (answer != "cancel")
    store = open_corrections(open_label_store(result))
    assert (store is not None) == (answer == "save")
    if answer == "cancel":
        assert viewer.window._qt_window.isVisible()
        assert correcting_of(viewer).is_dirty
    else:
        with Corrections(open_label_store(result)) as again:  # the lock was let go
            assert again.can_undo is False


def test_a_window_that_stays_open_after_all_goes_on(window, case):
    """napari asks, too, after this plug-in has let go of its files; there the user may stay."""
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    dock.paint.click()
    correcting_of(viewer).end()
    assert CROP_LAYER not in viewer.layers
    Corrections(open_label_store(result)).close()
    dock.paint.click()
    crop_of(viewer).paint((50, 50), 2)
    dock.save.click()
    store = open_corrections(open_label_store(result))
    assert (store.read(0, correcting_of(viewer).crop.region) == 2).any()


def test_it_stays_open_where_saving_fails(window, case, monkeypatch):
    slide, result = case
    viewer, dock = window(slide, result)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    dock.paint.click()
    crop_of(viewer).paint((50, 50), 2)
    monkeypatch.setattr(closing, "ask", lambda parent: "save")
    corrections = correcting_of(viewer).crop.corrections

    def fail(region, labels):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corrections, "merge", fail)
    assert not viewer.window._qt_window.close()
    assert "No space left" in dock.status.text()
    assert correcting_of(viewer).is_dirty


def test_refusals_are_readable(window, case, tmp_path, monkeypatch):
    slide, result = case
    viewer, dock = window(result)
    dock.correcting.attempt(dock.correcting.paint_here)
    assert "'slide.tiff', which is not open here" in dock.status.text()
    other = tmp_path / "elsewhere"
    other.mkdir()
    write_phantom_slide(other / "slide.tiff", seed=9, width_px=900, height_px=700, mpp=0.5)
    viewer.open(str(other / "slide.tiff"), plugin="napari-wsiseg")
    dock.paint.click()
    assert "which is not open here" in dock.status.text(), "another slide under the same name"
    viewer.open(str(slide), plugin="napari-wsiseg")
    monkeypatch.setattr(correcting, "MOST_CROP_PX", 1000)
    dock.paint.click()
    assert "zoom in" in dock.status.text()
    viewer.scene.camera.center = (0.0, -10_000.0, 0.0)
    dock.paint.click()
    assert "in view" in dock.status.text()
    monkeypatch.setattr(correcting, "MOST_CROP_PX", 8_000_000)
    look_at(viewer, result, Region(100, 100, 200, 200), px_on_screen=3.0)
    dock.paint.click()
    crop_of(viewer).paint((50, 50), 99)
    dock.save.click()
    assert "value 99 was painted, which is no class" in dock.status.text()
    with pytest.raises(UsageError, match="nothing of this result is corrected"):
        dock.correcting.saved_store()
    assert not (tmp_path / "slide.corrections.wsiseg.ome.zarr").exists()


def test_it_says_what_it_is_not_for(window):
    assert window()[1].notice.text() == "Not for diagnostic use"
