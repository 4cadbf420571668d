"""Two stores compared: against a slow count over whole arrays, across resolutions, and what is left out."""

import json

import numpy as np
import pytest
from label_stores import PHOTO, RUN, make_store
from typer.testing import CliRunner

from wsiseg.class_map import TISSUE8, ClassMap, LabelClass
from wsiseg.cli.main import app
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.pyramid.levels import halve_labels
from wsiseg.scoring import agreement
from wsiseg.scoring.agreement import Pair, compare
from wsiseg.viewing.difference import (
    DIFFERS,
    ONLY_FIRST,
    ONLY_SECOND,
    SAME,
    DifferenceLevels,
    difference,
)

SHAPE = (1201, 1333)


def some_labels(seed, shape=SHAPE):
    random = np.random.default_rng(seed)
    side = 67
    labels = random.integers(0, 5, (shape[0] // side + 1, shape[1] // side + 1), dtype=np.uint8)
    labels[random.random(labels.shape) < 0.1] = 254
    labels[random.random(labels.shape) < 0.2] = 255
    return labels.repeat(side, 0).repeat(side, 1)[: shape[0], : shape[1]]


def stored(folder, name, labels, run=RUN, classes=TISSUE8):
    return open_label_store(make_store(folder / f"{name}.wsiseg.ome.zarr", labels, run=run, classes=classes))


def slow_counts(first, second, size):
    """Return the matrix and what is left out, pixel values one pair at a time."""
    counts = np.zeros((size, size), int)
    left = {"unread": 0, "first": 0, "second": 0, "neither": 0}
    pairs, number = np.unique(first.astype(int) * 256 + second, return_counts=True)
    for pair, count in zip(pairs, number, strict=True):
        one, other = divmod(int(pair), 256)
        if 254 in (one, other):
            left["unread"] += count
        elif one == other == 255:
            left["neither"] += count
        elif other == 255:
            left["first"] += count
        elif one == 255:
            left["second"] += count
        else:
            counts[one, other] += count
    return counts, left


def test_counts_against_a_slow_one(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "BLOCK_PX", 300)  # many blocks, cut at both edges
    first, second = some_labels(1), some_labels(2)
    pair = Pair(stored(tmp_path, "a", first), stored(tmp_path, "b", second))
    steps = []
    found = compare(pair, lambda done, total: steps.append((done, total)) or True)
    counts, left = slow_counts(first, second, 8)
    assert np.array_equal(found.confusion.counts[:, :8], counts)
    assert found.confusion.unexpected_px == 0
    assert (found.unread_px, found.only_first_px) == (left["unread"], left["first"])
    assert (found.only_second_px, found.neither_px) == (left["second"], left["neither"])
    assert counts.sum() + sum(left.values()) == first.size, "every pixel is somewhere"
    assert steps == [(number, 25) for number in range(1, 26)]
    both = (first < 254) & (second < 254)
    differs = both & (first != second)
    blocks = {
        (row, column): int(differs[row * 300 : row * 300 + 300, column * 300 : column * 300 + 300].sum())
        for row in range(5)
        for column in range(5)
    }
    assert found.differing == {at: count for at, count in blocks.items() if count}
    said = found.as_json()
    assert said["pixel_agreement"] == pytest.approx(np.trace(counts) / counts.sum())
    row = said["classes"][3]
    hit, union = counts[3, 3], counts[3].sum() + counts[:, 3].sum() - counts[3, 3]
    assert (row["name"], row["iou"]) == ("normal stroma", pytest.approx(hit / union))
    assert row["f1"] == pytest.approx(2 * hit / (counts[3].sum() + counts[:, 3].sum()))
    assert said["classes"][7]["iou"] is None, "absent from both"
    assert row["first"] == pytest.approx(counts[3].sum() * 1e-6), "1 um per pixel, in mm2"
    assert sum(said["left_out"].values()) == pytest.approx(sum(left.values()) * 1e-6)


def test_a_result_agrees_with_itself(tmp_path):
    labels = some_labels(5)
    store = stored(tmp_path, "a", labels)
    found = compare(Pair(store, store))
    assert found.as_json()["pixel_agreement"] == 1.0
    assert not found.differing
    assert found.only_first_px == found.only_second_px == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_two_resolutions_lie_on_each_other(tmp_path, swapped):
    """The coarser one says of a pixel what it says of the place; whichever comes first."""
    fine = some_labels(1)
    coarse = some_labels(2, (301, 334))
    stores = [
        stored(tmp_path, "fine", fine),
        stored(tmp_path, "coarse", coarse, {**RUN, "label_mpp": [4.0, 4.0]}),
    ]
    pair = Pair(*(reversed(stores) if swapped else stores))
    assert pair.whole == Region(0, 0, SHAPE[1], SHAPE[0])
    large = coarse.repeat(4, 0).repeat(4, 1)[: SHAPE[0], : SHAPE[1]]
    for region in (pair.whole, Region(3, 5, 111, 222), Region(SHAPE[1] - 3, SHAPE[0] - 2, 3, 2)):
        found = pair.read(region)
        at = region.slices_in(Region(0, 0, 0, 0))
        assert np.array_equal(found[swapped], fine[at])
        assert np.array_equal(found[not swapped], large[at])


def test_a_fraction_between_two_resolutions(tmp_path):
    fine, coarse = some_labels(1), some_labels(2, (801, 889))
    pair = Pair(
        stored(tmp_path, "fine", fine), stored(tmp_path, "coarse", coarse, {**RUN, "label_mpp": [1.5, 1.5]})
    )
    region = Region(700, 600, 301, 211)
    _, found = pair.read(region)
    for y, x in ((0, 0), (7, 11), (210, 300), (100, 250)):
        at = int((600 + y + 0.5) / 1.5), int((700 + x + 0.5) / 1.5)
        assert found[y, x] == coarse[at]


def test_classes_are_put_together_by_name(tmp_path):
    names = ("Normal  Stroma", "adipose", "background")
    classes = ClassMap(
        classes=tuple(
            LabelClass(id=number * 10, name=name, colour=(number, 0, 0)) for number, name in enumerate(names)
        )
    )
    first = np.full((40, 60), 3, np.uint8)
    second = np.full((40, 60), 0, np.uint8)
    second[:10], second[10:15] = 10, 20
    pair = Pair(stored(tmp_path, "a", first), stored(tmp_path, "b", second, classes=classes))
    assert pair.names == (*(item.name for item in TISSUE8.classes), "adipose")
    counts = compare(pair).confusion.counts
    assert (counts[3, 3], counts[3, 8], counts[3, 0], counts.sum()) == (25 * 60, 600, 300, 2400)


def test_what_cannot_be_compared_is_refused(tmp_path):
    labels = np.zeros((30, 30), np.uint8)
    mine = stored(tmp_path, "a", labels)
    other = {**RUN, "slide": {**RUN["slide"], "name": "t.svs", "fingerprint": "x"}}
    with pytest.raises(InputRefusedError, match="two results of one slide"):
        Pair(mine, stored(tmp_path, "b", labels, other))
    classes = ClassMap(classes=(LabelClass(id=0, name="glass", colour=(0, 0, 0)),))
    with pytest.raises(UsageError, match="no name in common"):
        Pair(mine, stored(tmp_path, "c", labels, classes=classes))
    with pytest.raises(InputRefusedError, match="label 9, which is none of its classes"):
        compare(Pair(mine, stored(tmp_path, "d", labels + np.uint8(9))))


def test_it_ends_where_it_is_told_to(tmp_path):
    store = stored(tmp_path, "a", some_labels(1))
    assert compare(Pair(store, store), lambda done, total: False) is None


def test_the_difference_at_every_level(tmp_path):
    first, second = some_labels(1), some_labels(2)
    levels = DifferenceLevels(Pair(stored(tmp_path, "a", first), stored(tmp_path, "b", second)))
    last = None
    for level, (rows, columns) in enumerate(levels.shapes):
        found = levels.read(level, Region(0, 0, columns, rows))
        wanted = difference(first, second) if level < 3 else halve_labels(last)
        assert np.array_equal(found, wanted), level
        part = Region(columns // 3, rows // 4, columns // 2, rows // 2)
        assert np.array_equal(levels.read(level, part), wanted[part.slices_in(Region(0, 0, 0, 0))])
        first, second, last = halve_labels(first), halve_labels(second), wanted


def test_what_a_difference_says():
    first = np.array([1, 1, 1, 255, 255, 254, 2, 254], np.uint8)
    second = np.array([1, 2, 255, 3, 255, 1, 254, 255], np.uint8)
    assert difference(first, second).tolist() == [
        *(SAME, DIFFERS, ONLY_FIRST, ONLY_SECOND, 255),
        *(254, 254, 254),
    ]


def test_the_command(tmp_path):
    first, second = some_labels(1), some_labels(2)
    paths = [str(stored(tmp_path, name, labels).path) for name, labels in (("a", first), ("b", second))]
    done = CliRunner().invoke(app, ["compare", *paths, "--json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    both = (first < 254) & (second < 254)
    assert said["pixel_agreement"] == pytest.approx((first == second)[both].mean())
    assert said["first"] == "a.wsiseg.ome.zarr"
    done = CliRunner().invoke(app, ["compare", *paths])
    assert f"{100 * said['pixel_agreement']:.2f} %" in done.stdout
    assert "malignant epithelium" in done.stdout
    assert "Not for diagnostic use" in done.stdout


def test_the_command_on_photos_without_anything_in_common(tmp_path):
    one, other = np.full((30, 40), 255, np.uint8), np.full((30, 40), 255, np.uint8)
    one[:5], other[10:20] = 1, 2
    paths = [str(stored(tmp_path, name, labels, PHOTO).path) for name, labels in (("a", one), ("b", other))]
    said = CliRunner().invoke(app, ["compare", *paths]).stdout
    assert "nothing was compared" in said
    assert "left out (px): only first 200, only second 400, neither 600" in said
