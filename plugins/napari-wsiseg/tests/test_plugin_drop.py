"""A slide and its result dropped onto the window, as a file manager does it."""

import shutil

import pytest
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_wsiseg.layers import label_layers, slide_layers
from wsiseg import PredictOptions, segment_slide


@pytest.fixture(scope="module")
def files(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dropped")
    slide = folder / "phantom.svs"
    shutil.copyfile(phantom, slide)
    return slide, segment_slide(slide, folder, PredictOptions()).store


def drop(viewer, path):
    window = viewer.window._qt_viewer
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    at = QPointF(window.width() / 2, window.height() / 2)
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    # To the widget itself: Qt passes a drop on only after a drag, which needs a real pointer.
    window.dropEvent(QDropEvent(at, Qt.DropAction.CopyAction, data, buttons, keys))


def test_dropped(viewer, files):
    slide, store = files
    # napari's own reader tries any file, so it asks which to take; this is what it keeps of the answer.
    plugins = get_settings().plugins
    ours = dict.fromkeys(("*.svs", "*.wsiseg.ome.zarr/"), "napari-wsiseg")  # a folder ends in a slash
    plugins.extension2reader = {**plugins.extension2reader, **ours}
    drop(viewer, slide)
    drop(viewer, store)
    assert [layer.name for layer in slide_layers(viewer)] == ["phantom.svs"]
    assert [layer.name for layer in label_layers(viewer)] == ["tissue of phantom"]
