"""Runs that are watched: same bytes as without, seen as they grow, stopped and gone on with."""

import threading

import numpy as np
import pytest
from noise_slide import tree_hash, write_noise_slide
from resume_child import options_for

from wsiseg import segment_slide
from wsiseg.errors import UsageError
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.viewing.outlined import bounds_of, is_rectangle, region_name, ring_of
from wsiseg.viewing.stoppable import StoppedError
from wsiseg.viewing.watched_run import predict_watched

WHOLE = Region(0, 0, 1222, 1333)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_noise_slide(tmp_path_factory.mktemp("slide") / "noise.tif")


@pytest.fixture(scope="module")
def undisturbed(slide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return segment_slide(slide, folder, options_for()).store


def labels_of(store, level=0):
    opened = open_label_store(store)
    rows, columns = opened.shape(level)
    return opened.read(level, Region(0, 0, columns, rows))


def test_a_watched_run_has_the_bytes_of_one_that_is_not(slide, undisturbed, tmp_path):
    blocks, parts = [], []
    result = predict_watched(
        slide,
        tmp_path,
        options_for(),
        stop=threading.Event(),
        on_block=blocks.append,
        progress=lambda done, total: parts.append(done / total),
    )
    assert tree_hash(result.store) == tree_hash(undisturbed)
    assert sum(block.area for block in blocks) == WHOLE.area
    assert len(set(blocks)) == 9
    assert parts == sorted(parts)
    assert parts[-1] == 1


def test_labels_grow_as_they_will_be_stored(slide, undisturbed, tmp_path):
    """At every level, what is there equals the finished store; what is not is 255."""
    seen = {}

    def keep(plan, levels):
        seen["levels"] = levels

    done = np.zeros((1333, 1222), bool)
    checked = []

    def compare(block):
        done[block.slices_in(WHOLE)] = True
        if len(checked) == 4:
            return
        for level in range(3):
            rows, columns = seen["levels"].shapes[level]
            found = seen["levels"].read(level, Region(0, 0, columns, rows))
            step = 2**level
            # A coarse pixel is settled where all that lies under it is done.
            padded = np.pad(done, ((0, rows * step - 1333), (0, columns * step - 1222)), mode="edge")
            settled = padded.reshape(rows, step, columns, step).all((1, 3))
            assert (found[settled] == labels_of(undisturbed, level)[settled]).all()
            absent = ~padded.reshape(rows, step, columns, step).any((1, 3))
            assert (found[absent] == 255).all()
        checked.append(block)

    predict_watched(
        slide, tmp_path, options_for(workers=1), stop=threading.Event(), on_start=keep, on_block=compare
    )
    assert len(checked) == 4


def test_a_stopped_run_goes_on_to_the_same_bytes(slide, undisturbed, tmp_path):
    stop = threading.Event()
    tiles = []

    def progress(done, total):
        assert not stop.is_set(), "a tile was reported after the stop"
        tiles.append(done)
        if len(tiles) == 7:
            stop.set()

    with pytest.raises(StoppedError):
        predict_watched(slide, tmp_path, options_for(workers=2), stop=stop, progress=progress)
    assert (tmp_path / "noise.wsiseg-work" / "journal.jsonl").is_file()
    assert not (tmp_path / "noise.summary.json").exists()
    result = segment_slide(slide, tmp_path, options_for())  # the command line takes over
    assert tree_hash(result.store) == tree_hash(undisturbed)


def test_a_run_that_is_stopped_before_it_begins_leaves_nothing(slide, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        predict_watched(slide, tmp_path / "out", options_for(), stop=stop)
    assert not (tmp_path / "out").exists()


def test_outside_of_a_polygon_nothing_is_analysed(slide, undisturbed, tmp_path):
    ring = ring_of([(200.0, 100.0), (900.5, 300.0), (500.0, 1100.0)])
    result = predict_watched(slide, tmp_path, options_for(), stop=threading.Event(), outline=ring)
    assert result.store.name == f"noise.{region_name(ring)}.wsiseg.ome.zarr"
    labels, whole = labels_of(result.store), labels_of(undisturbed)
    rows, columns = np.mgrid[0:1333, 0:1222] + 0.5
    inside = np.ones(labels.shape, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
        inside &= (x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) > 0
    assert (labels[inside] == whole[inside]).all()
    assert (labels[~inside] == 255).all()
    mm2 = result.summary["areas"]["predicted"]
    assert mm2 == pytest.approx(inside.sum() * 1e-6, abs=1e-6)


def test_a_rectangle_is_a_region_of_interest(slide, undisturbed, tmp_path):
    ring = ring_of([(100, 50), (700, 50), (700, 600), (100, 600)])
    result = predict_watched(slide, tmp_path, options_for(), stop=threading.Event(), outline=ring)
    assert result.store.name == "noise.region-100-50-600-550.wsiseg.ome.zarr"
    labels, whole = labels_of(result.store), labels_of(undisturbed)
    at = slice(50, 600), slice(100, 700)
    assert (labels[at] == whole[at]).all()
    assert result.summary["areas"]["predicted"] == pytest.approx(600 * 550 * 1e-6)
    assert result.summary["run"]["roi_l0"] == [100, 50, 600, 550]


def test_two_polygons_in_one_box_have_two_results():
    box = [(0, 0), (100, 0), (100, 80), (0, 80)]
    one, other = ring_of([*box[:3], (10, 80), (0, 40)]), ring_of([*box[:3], (20, 80), (0, 40)])
    assert bounds_of(one) == bounds_of(other) == Region(0, 0, 100, 80)
    assert region_name(one) != region_name(other)
    assert is_rectangle(ring_of(box))
    assert not is_rectangle(ring_of([(0, 0), (100, 80), (100, 0), (50, 90)]))


@pytest.mark.parametrize(
    "points", [[], [(1, 1), (2, 2)], [(1, 1), (1, 5), (1, 9)], [(1, 1), (5, 1), (np.nan, 3)]]
)
def test_an_outline_without_an_inside_is_refused(points):
    with pytest.raises(UsageError, match="encloses nothing"):
        ring_of(points)
