"""Corrections: merged in and taken back, sparse, whole after a kill, of their own slide only."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from label_stores import RUN, large_sparse_store, make_store

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.corrections.layout import corrections_path, work_folder
from wsiseg.corrections.pending import write_pending
from wsiseg.corrections.store import Corrections, open_corrections
from wsiseg.errors import InputRefusedError, OutputBusyError, UsageError
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.pyramid.levels import halve_labels

SHAPE = (1300, 1111)
CHILD = Path(__file__).resolve().parents[1] / "corrections_child.py"


def digest(folder):
    found = hashlib.sha256()
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        found.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def files(path):
    return {item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file()}


def assert_pyramid(path, wanted):
    """Every level is what halving the whole map gives."""
    store = open_label_store(path)
    for level in range(len(store.levels)):
        rows, columns = store.shape(level)
        assert np.array_equal(store.read(level, Region(0, 0, columns, rows)), wanted), level
        wanted = halve_labels(wanted)


@pytest.fixture
def result(tmp_path):
    labels = np.random.default_rng(1).integers(0, 8, (13, 12), dtype=np.uint8).repeat(100, 0).repeat(100, 1)
    return make_store(tmp_path / "s.wsiseg.ome.zarr", labels[: SHAPE[0], : SHAPE[1]])


def test_merges_and_undo_against_a_plain_array(result):
    """Random rectangles, odd ones and those at the edges; the array beside them says what must be there."""
    before = digest(result)
    random = np.random.default_rng(3)
    wanted = np.full(SHAPE, 255, np.uint8)
    history = []
    with Corrections(open_label_store(result)) as corrections:
        assert not corrections.path.exists(), "nothing is written before the first merge"
        for _ in range(12):
            y, x = (int(random.integers(0, side - 1)) for side in SHAPE)
            height, width = (int(random.integers(1, side + 1)) for side in (SHAPE[0] - y, SHAPE[1] - x))
            region = Region(x, y, width, height)
            labels = wanted[y : y + height, x : x + width].copy()
            labels[random.random(region.shape) < 0.5] = random.integers(0, 8)
            labels[random.random(region.shape) < 0.01] = 255
            history.append(wanted.copy())
            wanted[region.slices_in(Region(0, 0, 0, 0))] = labels
            changed = corrections.merge(region, labels)
            assert changed is not None
            assert changed.intersect(region) == changed
        assert_pyramid(corrections.path, wanted)
        while history:
            assert corrections.undo() is not None
            assert np.array_equal(corrections.read(corrections.whole), history.pop())
        assert corrections.undo() is None
        assert_pyramid(corrections.path, np.full(SHAPE, 255, np.uint8))
        assert not any("/c/" in name for name in files(corrections.path)), "what is 255 takes no file"
    assert digest(result) == before, "the result is never touched"
    assert not work_folder(corrections.path).exists()


def test_only_what_changed_is_said_and_written(result):
    with Corrections(open_label_store(result)) as corrections:
        labels = np.full((600, 600), 255, np.uint8)
        assert corrections.merge(Region(0, 0, 600, 600), labels) is None
        assert not corrections.path.exists()
        labels[500:505, 10:20] = 3
        assert corrections.merge(Region(0, 0, 600, 600), labels) == Region(10, 500, 10, 5)
        assert {name for name in files(corrections.path) if "/0/c/" in name} == {"labels/tissue/0/c/0/0"}
        assert corrections.merge(Region(0, 0, 600, 600), labels) is None


def test_they_stay_sparse_on_a_large_map(tmp_path):
    result = open_label_store(large_sparse_store(tmp_path / "large.wsiseg.ome.zarr"))
    with Corrections(result) as corrections:
        corrections.merge(Region(9000, 12000, 300, 200), np.full((200, 300), 7, np.uint8))
        # One or two files of each of the levels, though the map has 784 chunks.
        assert sum("/c/" in name for name in files(corrections.path)) <= 2 * len(result.levels)
        store = open_corrections(result)
        rows, columns = store.shape(len(store.levels) - 1)
        coarsest = store.read(len(store.levels) - 1, Region(0, 0, columns, rows))
        assert (coarsest == 7).any(), "votes never drop a correction for nothing"


def test_opened_again_they_go_on(result):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(5, 6, 7, 8), np.full((8, 7), 2, np.uint8))
    with Corrections(open_label_store(result)) as corrections:
        assert (corrections.read(Region(5, 6, 7, 8)) == 2).all()
        assert not corrections.can_undo
        assert corrections.warnings == []
        corrections.merge(Region(6, 6, 1, 1), np.full((1, 1), 255, np.uint8))
        assert (corrections.read(Region(5, 6, 7, 8)) == 2).sum() == 55


@pytest.mark.parametrize("writes_before", [0, 1, 2])
def test_a_merge_cut_short_by_a_kill_is_finished_on_opening(result, writes_before):
    """The child kills itself in the second merge, after some of its levels have been written."""
    done = subprocess.run(
        [sys.executable, str(CHILD), str(result), str(writes_before)],
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77, done.stderr
    path = corrections_path(result)
    wanted = np.full(SHAPE, 255, np.uint8)
    wanted[10:700, 20:900] = 1
    wanted[100:900, 300:1111] = 4
    assert len(list(work_folder(path).glob("pending-*.npy"))) == 1
    with Corrections(open_label_store(result)) as corrections:
        assert np.array_equal(corrections.read(corrections.whole), wanted)
    assert_pyramid(path, wanted)
    assert not list(path.rglob("*.partial"))


def test_a_failed_merge_is_finished_by_the_next(result, monkeypatch):
    """The disk fails after the merge was begun; what is merged after it is not undone by finishing it."""
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 4, 4), np.full((4, 4), 1, np.uint8))
        whole = corrections._write

        def fail(region, labels):
            corrections._put(0, region, labels)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(corrections, "_write", fail)
        with pytest.raises(OSError, match="No space"):
            corrections.merge(Region(0, 0, 8, 8), np.full((8, 8), 2, np.uint8))
        monkeypatch.setattr(corrections, "_write", whole)
        corrections.merge(Region(2, 2, 2, 2), np.full((2, 2), 3, np.uint8))
        wanted = np.full(SHAPE, 255, np.uint8)
        wanted[:8, :8] = 2
        wanted[2:4, 2:4] = 3
        assert_pyramid(corrections.path, wanted)
        corrections.undo()
        corrections.undo()
        wanted[:] = 255
        wanted[:4, :4] = 1
        assert_pyramid(corrections.path, wanted)


def test_a_failed_merge_outlives_its_window(result, monkeypatch):
    with Corrections(open_label_store(result)) as corrections:

        def fail(level, region, labels):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(corrections, "_put", fail)
        with pytest.raises(OSError, match="No space"):
            corrections.merge(Region(0, 0, 8, 8), np.full((8, 8), 2, np.uint8))
    with Corrections(open_label_store(result)) as corrections:
        assert (corrections.read(Region(0, 0, 8, 8)) == 2).all()
    assert not work_folder(corrections.path).exists()


def test_a_value_that_is_no_class_is_refused_before_anything_is_written(result):
    with Corrections(open_label_store(result)) as corrections:
        for value in (8, 42, 254):
            with pytest.raises(UsageError, match=f"value {value} was painted"):
                corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), value, np.uint8))
        assert not corrections.path.exists()
        with pytest.raises(ValueError, match="does not lie in"):
            corrections.merge(Region(-1, 0, 2, 2), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="was closed"):
        corrections.merge(Region(0, 0, 2, 2), np.zeros((2, 2), np.uint8))


def test_one_writer_at_a_time(result):
    store = open_label_store(result)
    with Corrections(store), pytest.raises(OutputBusyError, match="close that window"):
        Corrections(store)
    Corrections(store).close()


def other_run(**changes):
    return {**RUN, "slide": {**RUN["slide"], **changes}}


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (other_run(fingerprint="def"), "another slide"),
        (other_run(width_px=4801), "another slide"),
        ({**RUN, "label_mpp": [2.0, 2.0]}, "export them"),
    ],
)
def test_corrections_of_something_else_are_refused(result, run, said):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
    kept = digest(corrections_path(result))
    make_store(result, np.zeros(SHAPE, np.uint8), run=run)
    with pytest.raises(InputRefusedError, match=said):
        Corrections(open_label_store(result))
    assert digest(corrections_path(result)) == kept


def test_other_classes_are_refused(result):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
    classes = ClassMap(classes=tuple(LabelClass(id=n, name=f"c{n}", colour=(n, 0, 0)) for n in range(8)))
    make_store(result, np.zeros(SHAPE, np.uint8), classes=classes)
    with pytest.raises(InputRefusedError, match="other classes"):
        Corrections(open_label_store(result))


def test_another_model_of_the_same_slide_keeps_them_and_says_so(result):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
    make_store(result, np.zeros(SHAPE, np.uint8), run={**RUN, "model": {"weights_sha256": "1" * 64}})
    with Corrections(open_label_store(result)) as corrections:
        (warning,) = corrections.warnings
        assert "another result of this slide (model m)" in warning
        assert corrections.read(Region(0, 0, 1, 1))[0, 0] == 2


def test_corrections_have_no_corrections(result):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
    with pytest.raises(UsageError, match="holds corrections itself"):
        Corrections(open_label_store(corrections.path))


def test_what_lies_in_the_way_is_refused(result):
    make_store(corrections_path(result), np.zeros(SHAPE, np.uint8))
    with pytest.raises(InputRefusedError, match="is a result, expected corrections"):
        Corrections(open_label_store(result))


def test_a_store_of_other_chunks_is_refused(result):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
    group = zarr.open_group(str(corrections.path), mode="r+")["labels/tissue"]
    group.create_array("0", shape=SHAPE, chunks=(64, 64), dtype="uint8", fill_value=255, overwrite=True)
    with pytest.raises(InputRefusedError, match="not written by this program"):
        Corrections(open_label_store(result))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pending-0-0.npy", np.zeros((2000, 4), np.uint8), "beyond the labels"),
        ("pending-1110-0.npy", np.zeros((1, 2), np.uint8), "beyond the labels"),
        ("pending-0-0.npy", np.zeros((2, 2), np.uint16), "holds no merge"),
        ("pending--1-0.npy", np.zeros((2, 2), np.uint8), "holds no merge"),
        ("pending-0-0.npy", b"\x93NUMPY nothing", "damaged"),
        ("pending-0-0.npy", b"", "damaged"),
    ],
)
def test_a_pending_file_is_not_trusted(result, name, content, said):
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
        folder = work_folder(corrections.path)
    folder.mkdir()
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        np.save(folder / name, content)
    with pytest.raises(InputRefusedError, match=said):
        Corrections(open_label_store(result))


def test_a_pending_merge_without_a_store_waits(tmp_path, result):
    """Where somebody moved the store away, what is pending is applied to the next."""
    folder = work_folder(corrections_path(result))
    folder.mkdir()
    region = Region(3, 4, 2, 1)
    assert write_pending(folder, region, np.array([[1, 2]], np.uint8)).name == "pending-3-4.npy"
    with Corrections(open_label_store(result)) as corrections:
        corrections.merge(Region(0, 0, 1, 1), np.full((1, 1), 2, np.uint8))
        assert corrections.read(region).tolist() == [[1, 2]]
