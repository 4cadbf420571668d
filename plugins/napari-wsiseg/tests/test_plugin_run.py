"""Running from the window: results as they come, cancel, going on, drawn regions, readable errors."""

import hashlib

import numpy as np
import pytest

from napari_wsiseg.layers import label_layers, shown_by
from napari_wsiseg.regions import REGION_LAYER
from napari_wsiseg.run_dock import RUNNING, RunDock
from wsiseg import PredictOptions, segment_slide
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region

LIMIT_MS = 280_000


def bytes_of(store):
    digest = hashlib.sha256()
    for file in sorted(item for item in store.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(store).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture
def dock(viewer, phantom, tmp_path, qtbot):
    viewer.open(str(phantom), plugin="napari-wsiseg")
    made = RunDock(viewer)
    qtbot.addWidget(made)
    made.output.setText(str(tmp_path))
    yield made
    made.end()


@pytest.fixture(scope="module")
def undisturbed(phantom, tmp_path_factory):
    return segment_slide(phantom, tmp_path_factory.mktemp("undisturbed"), PredictOptions()).store


def test_cancel_leaves_a_run_that_goes_on(dock, viewer, qtbot, tmp_path, undisturbed):
    """Cancelled at its first tile; the second run shows its labels as they come, the bytes are the same."""
    dock.start.click()
    run = dock.run
    assert not dock.start.isEnabled()
    with qtbot.waitSignal(run.stopped, timeout=LIMIT_MS):
        with qtbot.waitSignal(run.progressed, timeout=LIMIT_MS):
            pass
        dock.cancel.click()
    assert "goes on from here" in dock.status.text()
    assert (tmp_path / "phantom.wsiseg-work" / "journal.jsonl").is_file()
    assert not (tmp_path / "phantom.summary.json").exists()
    assert viewer.layers[-1].name == RUNNING

    dock.start.click()
    run = dock.run
    with qtbot.waitSignal(run.finished, timeout=LIMIT_MS):
        with qtbot.waitSignal(run.growing, timeout=LIMIT_MS):
            pass
        assert viewer.layers[-1].name == RUNNING
    assert bytes_of(tmp_path / "phantom.wsiseg.ome.zarr") == bytes_of(undisturbed)
    (labels,) = label_layers(viewer)
    assert labels.name == "tissue of phantom"
    assert shown_by(labels).rows is not None
    assert dock.status.text().startswith("done")
    assert dock.start.isEnabled()


def test_a_drawn_polygon(dock, viewer, qtbot, undisturbed):
    dock.draw.click()
    layer = viewer.layers[REGION_LAYER]
    assert layer.mode == "add_rectangle"
    ring_um = np.array([[300.0, 500.0], [420.0, 900.0], [900.0, 700.0]])  # (y, x)
    layer.add(ring_um, shape_type="polygon")
    assert dock.only_region.isChecked()
    dock.start.click()
    with qtbot.waitSignal(dock.run.finished, timeout=LIMIT_MS) as caught:
        pass
    store, whole = open_label_store(caught.args[0].store), open_label_store(undisturbed)
    rows, columns = store.shape(0)
    everything = Region(0, 0, columns, rows)
    labels, before = store.read(0, everything), whole.read(0, everything)
    y, x = (np.mgrid[0:rows, 0:columns] + 0.5) * np.array(store.mpp[::-1])[:, None, None]
    inside, on_edge = np.ones(labels.shape, bool), np.zeros(labels.shape, bool)
    for (y0, x0), (y1, x1) in zip(ring_um, np.roll(ring_um, -1, 0), strict=True):
        side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        inside &= side > 0
        on_edge |= np.abs(side) < 1e-6
    assert inside.any()
    assert (labels[inside] == before[inside]).all()
    assert (labels[~inside & ~on_edge] == 255).all()


@pytest.mark.parametrize(
    ("set_up", "said"),
    [
        (lambda dock: dock.model.setCurrentText("no-such-model"), "no-such-model"),
        (lambda dock: dock.mpp.setText("fast"), "fast"),
        (lambda dock: dock.only_region.setChecked(True), "no region is drawn"),
    ],
)
def test_errors_are_readable(dock, qtbot, set_up, said):
    set_up(dock)
    dock.start.click()
    qtbot.waitUntil(lambda: said in dock.status.text(), timeout=LIMIT_MS)
    assert "Traceback" not in dock.status.text()
    assert dock.run is None
    assert dock.start.isEnabled()


def test_closing_waits_for_the_run(dock, qtbot, tmp_path):
    dock.start.click()
    run = dock.run
    with qtbot.waitSignal(run.growing, timeout=LIMIT_MS):
        pass
    process = dock.helper._process
    dock.end()
    assert process.poll() == 0
    assert (tmp_path / "phantom.wsiseg-work").is_dir()


def test_it_says_what_it_is_not_for(dock):
    assert dock.notice.text() == "Not for diagnostic use"
