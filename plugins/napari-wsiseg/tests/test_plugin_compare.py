"""Comparing in a real window: the difference on the screen, the table, going to the next difference."""

import json
import threading

import numpy as np
import pytest

from napari_wsiseg import comparing
from napari_wsiseg.compare_dock import CompareDock
from napari_wsiseg.comparing import comparing_of
from napari_wsiseg.keys import next_difference
from napari_wsiseg.legend import LegendDock
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.label_import import ImportOptions, import_annotations
from wsiseg.scoring.agreement import Pair, compare
from wsiseg.viewing.difference import CLASSES, DIFFERS, ONLY_FIRST

LIMIT_MS = 120_000


def boxes(path, *rows):
    """Write rectangles (x, y, right, bottom) of level-0 pixels, each with its class."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[x, y], [r, y], [r, b], [x, b], [x, y]]]},
            "properties": {"classification": {"name": name}},
        }
        for name, x, y, r, b in rows
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def results(board, tmp_path_factory):
    """Two annotations of one slide, the second at twice the um per pixel."""
    folder = tmp_path_factory.mktemp("compared")
    rows = [("blood", 0, 0, 3001, 1500), ("necrosis", 400, 400, 800, 800)]
    first = boxes(folder / "first.geojson", *rows)
    wider, alone = ("necrosis", 400, 400, 1000, 800), ("secretion", 2000, 1200, 2200, 1300)
    second = boxes(folder / "second.geojson", rows[0], wider, alone)
    stores = []
    for number, (path, mpp) in enumerate(((first, 0.5), (second, 1.0))):
        at = folder / str(number)
        stores.append(import_annotations(path, board[0], at, ImportOptions(mpp=mpp)).store)
    return stores


@pytest.fixture
def dock(viewer, board, results, qtbot):
    viewer.open(str(board[0]), plugin="napari-wsiseg")
    for number, store in enumerate(results):
        viewer.open(str(store), plugin="napari-wsiseg")
        viewer.layers[-1].name = f"result {number + 1}"
    made = CompareDock(viewer)
    qtbot.addWidget(made)
    yield made
    made.comparing.cancel()


def counted(dock, qtbot):
    with qtbot.waitSignal(dock.comparing.counted, timeout=LIMIT_MS):
        dock.start.click()


def test_the_table_says_what_was_counted(dock, results, qtbot):
    counted(dock, qtbot)
    wanted = compare(Pair(*map(open_label_store, results))).as_json()
    rows = {
        dock.table.item(number, 0).text(): [dock.table.item(number, column).text() for column in range(1, 5)]
        for number in range(dock.table.rowCount())
    }
    assert set(rows) == {"blood", "necrosis", "secretion"}
    for item in wanted["classes"]:
        if item["iou"] is not None:
            texts = [f"{item[key]:.{digits}f}" for key, digits in (("iou", 3), ("f1", 3), ("first", 4))]
            assert rows[item["name"]][:3] == texts
    # 400 x 400 px of 600 x 400 are necrosis in both.
    assert float(rows["necrosis"][0]) == pytest.approx(400 / 600, abs=0.005)
    assert rows["secretion"][0] == "0.000"
    assert f"{100 * wanted['pixel_agreement']:.2f} %" in dock.status.text()
    assert "neither" in dock.status.text()
    assert dock.start.isEnabled()
    assert not dock.cancel.isEnabled()


def test_the_difference_on_the_screen(dock, viewer, qtbot, settle):
    counted(dock, qtbot)
    layer = dock.comparing.layer
    for other in viewer.layers:
        other.visible = other is layer
    layer.opacity = 1.0
    viewer.canvas.overlays.scale_bar.visible = False
    zoom = 0.5
    viewer.scene.camera.zoom, viewer.scene.camera.center = zoom, (0.0, 400.0, 700.0)
    settle()
    seen = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    rows, columns = seen.shape[:2]
    # Where each screen pixel's centre lies, in level-0 pixels of 0.5 um; what differs there by construction.
    y = (((np.arange(rows) + 0.5 - rows / 2) / zoom + 400) / 0.5)[:, None]
    x = (((np.arange(columns) + 0.5 - columns / 2) / zoom + 700) / 0.5)[None, :]

    def inside(box, margin):
        left, top, right, bottom = box
        return (x > left - margin) & (x < right + margin) & (y > top - margin) & (y < bottom + margin)

    drawn = [(800, 400, 1000, 800), (2000, 1200, 2200, 1300)]
    is_red = np.abs(seen - CLASSES.by_id(DIFFERS).colour).max(-1) < 40
    for box in drawn:
        sure = inside(box, -6)
        assert sure.any()
        assert is_red[sure].all()
    assert not is_red[~(inside(drawn[0], 6) | inside(drawn[1], 6))].any()


def test_next_difference_goes_there(dock, viewer, qtbot, settle):
    counted(dock, qtbot)
    status = []
    viewer.events.status.connect(lambda event: status.append(str(event.value)))
    next_difference(viewer)
    qtbot.waitUntil(lambda: any("difference 1 of" in text for text in status), timeout=LIMIT_MS)
    _, y, x = viewer.scene.camera.center
    assert (x, y) == pytest.approx((450.0, 300.0), abs=2.0), "the middle of the largest, in um"
    blocks = len(dock.comparing.agreement.differing)
    dock.next.click()
    number = 1 if blocks == 1 else 2
    qtbot.waitUntil(lambda: f"difference {number} of {blocks}" in status[-1], timeout=LIMIT_MS)


def test_a_result_with_itself_and_with_nothing(dock, viewer, results, qtbot):
    dock.second.setCurrentIndex(dock.first.currentIndex())
    dock.start.click()
    assert "choose two results" in dock.status.text()
    next_difference(viewer)
    viewer.open(str(results[0]), plugin="napari-wsiseg")
    dock.first.setCurrentIndex(0)
    dock.second.setCurrentIndex(dock.second.count() - 1)
    counted(dock, qtbot)
    assert "100.00 %" in dock.status.text()
    assert not dock.next.isEnabled()


def test_cancel_ends_the_counting(dock, viewer, qtbot, monkeypatch):
    began, go_on = threading.Event(), threading.Event()
    real = comparing.compare

    def slow(pair, on_block):
        began.set()
        assert go_on.wait(LIMIT_MS / 1000)
        return real(pair, on_block)

    monkeypatch.setattr(comparing, "compare", slow)
    dock.start.click()
    assert began.wait(LIMIT_MS / 1000)
    with qtbot.waitSignal(dock.comparing.ended, timeout=LIMIT_MS):
        threading.Timer(0.0, go_on.set).start()
        dock.cancel.click()
    assert "cancelled" in dock.status.text()
    assert dock.comparing.agreement is None
    assert dock.start.isEnabled()


def test_the_legend_stays_with_the_results(dock, viewer, qtbot):
    legend = LegendDock(viewer)
    qtbot.addWidget(legend)
    counted(dock, qtbot)
    assert legend.title.text() == "result 2"


def test_another_slide_is_refused(dock, viewer, phantom, tmp_path):
    other = boxes(tmp_path / "other.geojson", ("blood", 0, 0, 100, 100))
    store = import_annotations(other, phantom, tmp_path, ImportOptions(mpp=2.0)).store
    viewer.open(str(store), plugin="napari-wsiseg")
    dock.second.setCurrentIndex(dock.second.count() - 1)
    dock.start.click()
    assert "expected two results of one slide" in dock.status.text()
    assert comparing_of(viewer).layer is None


def test_only_one_of_them_looked(viewer, board, results, tmp_path, qtbot):
    """What only one has is no difference in the count, and has a colour of its own."""
    small = boxes(tmp_path / "small.geojson", ("blood", 0, 0, 200, 200))
    store = import_annotations(small, board[0], tmp_path, ImportOptions(mpp=0.5)).store
    pair = Pair(open_label_store(results[0]), open_label_store(store))
    found = compare(pair)
    assert not found.differing
    viewer.open(str(results[0]), plugin="napari-wsiseg")
    viewer.open(str(store), plugin="napari-wsiseg")
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    counted(dock, qtbot)
    at = Region(300, 300, 4, 4)
    assert (np.asarray(dock.comparing.layer.data[0][at.slices_in(Region(0, 0, 0, 0))]) == ONLY_FIRST).all()
    assert not dock.next.isEnabled()


def test_it_says_what_it_is_not_for(dock):
    assert dock.notice.text() == "Not for diagnostic use"
