"""Segmenting what is in view: what the window tells, what it shows, and a run that does the rest."""

import hashlib
import json

import numpy as np
import pytest

from napari_wsiseg.layers import label_layers, shown_by
from napari_wsiseg.live import Watch, view_of
from napari_wsiseg.run_dock import LIVE, RunDock
from wsiseg import PredictOptions, segment_slide
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region

LIMIT_MS = 280_000


def bytes_of(store):
    digest = hashlib.sha256()
    for file in sorted(item for item in store.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(store).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def undisturbed(phantom, tmp_path_factory):
    return segment_slide(phantom, tmp_path_factory.mktemp("undisturbed"), PredictOptions()).store


@pytest.fixture
def dock(viewer, phantom, tmp_path, qtbot):
    viewer.open(str(phantom), plugin="napari-wsiseg")
    made = RunDock(viewer)
    qtbot.addWidget(made)
    made.output.setText(str(tmp_path))
    yield made
    made.end()


def test_what_the_window_tells(viewer, phantom, qtbot, settle):
    """A moving view is None; at rest it is what is on the screen."""
    (slide,) = viewer.open(str(phantom), plugin="napari-wsiseg")
    viewer.scene.camera.zoom = 2.0
    viewer.scene.camera.center = (0.0, 500.0, 700.0)
    settle()
    told = []
    watch = Watch(viewer, slide, told.append)
    assert told == [view_of(viewer, slide)]
    region = told[0][0]
    rows, columns = viewer.screenshot(canvas_only=True, flash=False).shape[:2]
    # At this zoom a pixel of the screen is one of level 0; the centre is at (1400, 1000).
    edges = np.array([1400 - columns / 2, 1000 - rows / 2, 1400 + columns / 2, 1000 + rows / 2])
    assert np.abs(np.array([region.x, region.y, region.right, region.bottom]) - edges).max() <= 1
    viewer.scene.camera.center = (0.0, 510.0, 700.0)
    viewer.scene.camera.center = (0.0, 520.0, 700.0)
    assert told[1:] == [None], "it moves, and says so once"
    qtbot.waitUntil(lambda: len(told) == 3, timeout=LIMIT_MS)
    assert told[2][0] == Region(region.x, region.y + 40, region.width, region.height)
    watch.end()
    viewer.scene.camera.center = (0.0, 530.0, 700.0)
    assert len(told) == 3


def test_nearest_to_the_cursor_where_it_is_in_view(viewer, phantom):
    (slide,) = viewer.open(str(phantom), plugin="napari-wsiseg")
    viewer.scene.camera.zoom = 2.0
    viewer.scene.camera.center = (0.0, 500.0, 700.0)
    viewer.cursor.position = (510.0, 730.0)
    assert view_of(viewer, slide)[1] == (1460.0, 1020.0)
    viewer.cursor.position = (9000.0, 730.0)
    assert view_of(viewer, slide)[1] == (1400.0, 1000.0)
    viewer.dims.ndisplay = 3
    assert view_of(viewer, slide) is None


def test_live_then_a_run_that_does_the_rest(dock, viewer, qtbot, settle, tmp_path, undisturbed):
    viewer.scene.camera.zoom = 1.0
    viewer.scene.camera.center = (0.0, 300.0, 400.0)
    dock.live.click()
    live = dock.run
    assert not dock.model.isEnabled()
    qtbot.waitUntil(lambda: LIVE in viewer.layers, timeout=LIMIT_MS)
    layer = viewer.layers[LIVE]
    store = open_label_store(undisturbed)
    whole = Region(0, 0, store.shape(0)[1], store.shape(0)[0])
    wanted = store.read(0, whole)
    levels = shown_by(layer).levels
    # All of it is one block: its tiles first, then it is stored.
    qtbot.waitUntil(lambda: bool((levels.read(0, whole) != 255).any()), timeout=LIMIT_MS)
    first = levels.read(0, whole)
    assert (first == wanted)[first != 255].all()
    qtbot.waitUntil(lambda: len(levels.done) > 0, timeout=LIMIT_MS)
    assert (levels.read(0, whole) == wanted).all()
    settle()
    assert layer.get_value((300.0, 400.0), world=True)[1] == wanted[300, 400]
    assert "label/0/0/0" in (tmp_path / "phantom.wsiseg-work" / "journal.jsonl").read_text()

    dock.start.click()  # what is live ends first
    qtbot.waitUntil(lambda: dock.run not in (None, live), timeout=LIMIT_MS)
    assert not dock.live.isChecked()
    qtbot.waitUntil(lambda: dock.run is None, timeout=LIMIT_MS)
    assert dock.status.text().startswith("done")
    assert dock.model.isEnabled()
    summary = json.loads((tmp_path / "phantom.summary.json").read_text())
    assert summary["tasks_resumed"] == 1
    assert bytes_of(tmp_path / "phantom.wsiseg.ome.zarr") == bytes_of(undisturbed)
    assert [layer.name for layer in label_layers(viewer)] == ["tissue of phantom"]

    dock.live.click()  # nothing is left to do: the result is shown
    qtbot.waitUntil(lambda: dock.run is None, timeout=LIMIT_MS)
    assert "already finished" in dock.status.text()
    assert not dock.live.isChecked()


def test_it_is_ended_by_its_tick_and_with_its_slide(dock, viewer, qtbot, tmp_path):
    dock.live.click()
    qtbot.waitUntil(lambda: LIVE in viewer.layers, timeout=LIMIT_MS)
    dock.live.click()
    qtbot.waitUntil(lambda: dock.run is None, timeout=LIMIT_MS)
    assert "goes on from here" in dock.status.text()
    dock.live.click()
    assert dock.run is not None
    qtbot.waitUntil(lambda: dock.watch is not None, timeout=LIMIT_MS)
    viewer.layers.remove(viewer.layers["phantom.tiff"])
    assert not dock.live.isChecked()
    qtbot.waitUntil(lambda: dock.run is None, timeout=LIMIT_MS)
    assert not dock.live.isEnabled()
    assert (tmp_path / "phantom.wsiseg-work").is_dir()
