"""Tables of a store: every pixel counted, regions, ratios, CSV and Parquet alike."""

import csv

import numpy as np
import pyarrow.parquet
import pytest
from label_stores import PHOTO, labels_for_tests, make_store

from wsiseg.annotations.annotation import Annotation
from wsiseg.exports.composition_table import plain_cell, table_rows, write_composition
from wsiseg.exports.label_store import open_label_store


@pytest.fixture(scope="module")
def labels():
    return labels_for_tests()


@pytest.fixture(scope="module")
def store(tmp_path_factory, labels):
    return make_store(tmp_path_factory.mktemp("store") / "s.wsiseg.ome.zarr", labels)


def region(name="=bad"):
    ring = np.array([(400, 400), (1400, 400), (1400, 2400), (400, 2400)], float)  # level 0: 4 px per label
    return Annotation(name, ring, (), 0)


def test_composition_counts_every_pixel_and_regions(store, labels, tmp_path):
    write_composition(open_label_store(store), tmp_path / "c.csv", [region()])
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    whole = {row["class"]: row for row in rows if row["region"] == "whole"}
    assert sum(int(row["pixels"]) for row in whole.values()) == labels.size
    assert int(whole["unread"]["pixels"]) == (labels == 254).sum()
    tissue = ((labels > 0) & (labels < 254)).sum()
    expected = 100 * (labels == 3).sum() / tissue
    assert float(whole["normal stroma"]["percent"]) == pytest.approx(expected, abs=1e-3)
    assert float(whole["secretion"]["mm2"]) == pytest.approx((labels == 5).sum() * 1e-6)
    inside = {row["class"]: int(row["pixels"]) for row in rows if row["region"] == "1 =bad"}
    part = labels[100:600, 100:350]
    assert inside["benign epithelium"] == (part == 1).sum()
    assert sum(inside.values()) == part.size
    assert plain_cell("=1+1") == "'=1+1"


def test_ratios_of_the_map_and_of_a_region(store, labels):
    rows = list(table_rows(open_label_store(store), [region("gland")]))
    for name, part in (("whole", labels), ("1 gland", labels[100:600, 100:350])):
        mine = {row.name: row for row in rows if row.region == name}
        epithelium, stroma = np.isin(part, (1, 2)).sum(), np.isin(part, (3, 4)).sum()
        tissue = ((part > 0) & (part < 254)).sum()
        for row in mine.values():
            assert row.epithelium_to_stroma == pytest.approx(epithelium / stroma, abs=1e-4)
            assert row.necrosis_percent == pytest.approx(100 * (part == 7).sum() / tissue, abs=1e-4)


def test_parquet_has_the_same_table(store, tmp_path):
    opened = open_label_store(store)
    write_composition(opened, tmp_path / "c.csv", [region("gland")])
    written = write_composition(opened, tmp_path / "c.parquet", [region("gland")], parquet=True)
    table = pyarrow.parquet.read_table(tmp_path / "c.parquet")
    with (tmp_path / "c.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert table.num_rows == written == len(expected)
    for row, other in zip(table.to_pylist(), expected, strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == other


def test_a_photo_has_pixels_and_no_mm2(tmp_path, labels):
    opened = open_label_store(make_store(tmp_path / "p.wsiseg.ome.zarr", labels, run=PHOTO))
    assert {row.mm2 for row in table_rows(opened)} == {None}
    assert sum(row.pixels for row in table_rows(opened)) == labels.size
