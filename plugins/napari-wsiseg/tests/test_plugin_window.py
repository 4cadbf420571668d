"""Opening, the legend and the keys, in a real window."""

import napari
import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt

from napari_wsiseg.layers import shown_by
from napari_wsiseg.legend import LegendDock
from napari_wsiseg.reader import get_reader
from wsiseg import PredictOptions, segment_slide
from wsiseg.errors import SlideRefusedError
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region

LIMIT_MS = 120_000


@pytest.fixture(scope="module")
def result(phantom, tmp_path_factory):
    return segment_slide(phantom, tmp_path_factory.mktemp("result"), PredictOptions())


@pytest.fixture
def opened(viewer, phantom, result):
    viewer.open(str(phantom), plugin="napari-wsiseg")
    viewer.open(str(result.store), plugin="napari-wsiseg")
    return viewer


def test_the_manifest_is_valid_and_its_commands_are_there():
    manifest = PluginManifest.from_distribution("napari-wsiseg")
    manifest.validate_imports()
    assert manifest.contributions.readers
    assert len(manifest.contributions.widgets) >= 2


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [("a.svs", True), ("a.NDPI", True), ("a.wsiseg.ome.zarr", True), ("a.txt", False), ("a.csv", False)],
)
def test_what_the_reader_takes(tmp_path, name, is_ours):
    (tmp_path / name).write_text("")
    assert (get_reader(str(tmp_path / name)) is not None) == is_ours


def test_a_folder_is_ours_where_it_holds_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("no slide")
    assert get_reader(str(tmp_path)) is None


def test_a_file_that_is_no_slide_is_refused_in_one_line(tmp_path):
    path = tmp_path / "broken.svs"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(SlideRefusedError, match=r"broken\.svs") as caught:
        get_reader(str(path))(str(path))
    assert "\n" not in str(caught.value)


def test_slide_and_labels_in_micrometres(opened, settle, result):
    slide, labels = opened.layers
    assert slide.multiscale
    assert slide.rgb
    assert tuple(slide.scale) == (0.5, 0.5)
    assert tuple(labels.scale) == tuple(reversed(open_label_store(result.store).mpp))
    assert [str(unit) for unit in slide.units] == ["micrometer", "micrometer"]
    assert opened.canvas.overlays.scale_bar.visible
    settle()
    x, y = 800.25, 600.25  # um
    store = open_label_store(result.store)
    at = Region(int(x / store.mpp[0]), int(y / store.mpp[1]), 1, 1)
    opened.scene.camera.center = (0.0, y, x)
    opened.scene.camera.zoom = 2.0
    settle()
    level, value = labels.get_value((y, x), world=True)
    assert level == 0
    assert value == store.read(0, at)[0, 0]
    name = store.classes.by_id(int(value)).name
    assert name in str(labels.get_status((y, x), world=True))


def test_confidences_are_a_hidden_layer_under_the_labels(viewer, phantom, tmp_path, settle):
    result = segment_slide(phantom, tmp_path, PredictOptions(confidence=True))
    confidence, labels = viewer.open(str(result.store), plugin="napari-wsiseg")
    assert confidence.name.startswith("confidence of phantom")
    assert not confidence.visible
    assert (confidence.scale == labels.scale).all()
    confidence.visible, labels.visible = True, False
    viewer.scene.camera.center = (0.0, 600.25, 800.25)
    viewer.scene.camera.zoom = 2.0
    settle()
    store = open_label_store(result.store)
    at = Region(int(800.25 / store.mpp[0]), int(600.25 / store.mpp[1]), 1, 1)
    assert confidence.get_value((600.25, 800.25), world=True)[1] == store.read_confidence(0, at)[0, 0] > 2


def test_the_sample_slide(viewer):
    (layer,) = viewer.open_sample("napari-wsiseg", "phantom")
    assert layer.rgb
    assert layer.name == "phantom.tiff"
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]


def test_removing_a_layer_closes_its_file(opened):
    slide = opened.layers[0]
    shown = shown_by(slide)
    opened.layers.remove(slide)
    with pytest.raises(Exception, match="closed"):
        shown.slide.read_region(0, Region(0, 0, 1, 1))


def test_the_legend_has_names_areas_and_shares(opened, result, qtbot):
    dock = LegendDock(opened)
    qtbot.addWidget(dock)
    for row in result.summary["classes"]:
        shown = dock.rows[row["id"]]
        assert shown.name.text() == row["name"]
        assert float(shown.mm2.text()) == pytest.approx(row["mm2"], abs=1e-4)
        assert shown.percent.text() == ("" if row["percent"] is None else f"{row['percent']:.1f}")
    assert dock.notice.text() == "Not for diagnostic use"


def test_a_tick_and_a_slider_change_one_class(opened, settle, qtbot):
    slide, labels = opened.layers
    dock = LegendDock(opened)
    qtbot.addWidget(dock)
    dock.rows[2].tick.click()
    assert labels.colormap.color_dict[2][3] == 0
    assert labels.colormap.color_dict[3][3] == 1
    dock.rows[3].slider.setValue(40)
    assert labels.colormap.color_dict[3][3] == pytest.approx(0.4)
    slide.visible = False
    settle()
    hidden = opened.screenshot(canvas_only=True, flash=False)
    for row in dock.rows.values():
        row.tick.setChecked(False)
    settle()
    nothing = opened.screenshot(canvas_only=True, flash=False)
    assert (hidden != nothing).any()
    assert np.unique(nothing[40:-80, 5:-5].reshape(-1, 4), axis=0).shape[0] == 1


def test_a_click_goes_to_the_largest_area(opened, qtbot, settle):
    labels = opened.layers[1]
    dock = LegendDock(opened)
    qtbot.addWidget(dock)
    status = []
    opened.events.status.connect(lambda event: status.append(str(event.value)))
    qtbot.mouseClick(dock.rows[2].name, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: any("its largest area" in text for text in status), timeout=LIMIT_MS)
    settle()
    seen = labels._slice.image.raw
    assert (seen == 2).any()
    assert labels.selected_label == 2


def test_keys(opened, qtbot):
    labels = opened.layers[1]
    from napari_wsiseg.keys import KEYS, fade, next_class, toggle

    assert {str(key) for key in opened.keymap} >= {"Shift+O", "Shift+N"} or len(opened.keymap) >= len(KEYS)
    toggle(opened)
    assert not labels.visible
    toggle(opened)
    assert labels.visible
    before = labels.opacity
    fade(opened, -0.1)
    assert labels.opacity == pytest.approx(before - 0.1)
    selected = labels.selected_label
    next_class(opened)
    assert labels.selected_label == selected + 1


def test_no_window_is_needed_to_read(board):
    assert napari.current_viewer() is None
    (data, options, kind), *rest = get_reader(str(board[0]))(str(board[0]))
    assert (kind, rest) == ("image", [])
    assert np.asarray(data[0][:100, :100]).shape == (100, 100, 3)
    options["metadata"]["wsiseg"].close()
