"""GeoJSON and PNG of a store: what is in them, what is refused, what is left behind."""

import gzip
import json
import shutil
import uuid

import numpy as np
import pytest
import shapely
from label_stores import labels_for_tests, make_store
from PIL import Image
from scipy import ndimage

from wsiseg.class_map import TISSUE8
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports import geojson, label_png, label_store, simplify
from wsiseg.exports.geojson import GeoJsonOptions, write_geojson
from wsiseg.exports.label_png import write_label_png
from wsiseg.exports.label_store import open_label_store


@pytest.fixture(scope="module")
def labels():
    return labels_for_tests()


@pytest.fixture(scope="module", params=["0.5", "0.4"])
def store(request, tmp_path_factory, labels):
    return make_store(tmp_path_factory.mktemp("store") / "s.wsiseg.ome.zarr", labels, request.param)


def polygons(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        document = json.load(file)
    assert document["type"] == "FeatureCollection"
    return document["features"], [shapely.geometry.shape(item["geometry"]) for item in document["features"]]


def test_geojson_has_qupaths_fields_and_the_area_of_each_class(store, labels, tmp_path):
    done = write_geojson(open_label_store(store), tmp_path / "s.geojson")
    features, shapes = polygons(done.path)
    assert len(features) == done.polygons
    assert all(shape.is_valid for shape in shapes)
    for item in TISSUE8.classes:
        mine = [
            shape
            for feature, shape in zip(features, shapes, strict=True)
            if feature["properties"]["classification"] == {"name": item.name, "color": list(item.colour)}
        ]
        assert sum(shape.area for shape in mine) == 16 * (labels == item.id).sum()
    for feature in features:
        assert feature["type"] == "Feature"
        assert feature["properties"]["objectType"] == "annotation"
        assert uuid.UUID(feature["id"]).version == 5
    ids = [feature["id"] for feature in features]
    assert len(set(ids)) == len(ids)
    assert (
        sum(len(shape.exterior.coords) + sum(len(r.coords) for r in shape.interiors) for shape in shapes)
        == done.points
    )


def test_polygons_do_not_depend_on_strips(store, labels, tmp_path, monkeypatch):
    one = write_geojson(open_label_store(store), tmp_path / "one.geojson")
    monkeypatch.setattr(label_store, "STRIP_PX", 24 * 50 * 30)
    monkeypatch.setattr(label_store, "SLAB_ROWS", 100)
    other = write_geojson(open_label_store(store), tmp_path / "other.geojson")
    first, second = polygons(one.path), polygons(other.path)
    assert {feature["id"] for feature in first[0]} == {feature["id"] for feature in second[0]}
    by_id = {feature["id"]: shape for feature, shape in zip(*first, strict=True)}
    for feature, shape in zip(*second, strict=True):
        assert shape.equals(by_id[feature["id"]])
    assert one.points == other.points


def test_same_store_same_bytes_packed_or_not(store, tmp_path):
    opened = open_label_store(store)
    files = [
        write_geojson(opened, tmp_path / name).path for name in ("a.geojson.gz", "b.geojson.gz", "c.geojson")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert gzip.decompress(files[0].read_bytes()) == files[2].read_bytes()


def test_tolerance_minimum_area_level_and_background(store, labels, tmp_path):
    opened = open_label_store(store)
    loose = write_geojson(opened, tmp_path / "a.geojson", GeoJsonOptions(tolerance=3.0, min_area=10))
    shapes = polygons(loose.path)[1]
    assert loose.left_out == 1  # 3 x 2 um
    assert all(shape.is_valid for shape in shapes)
    exact = write_geojson(opened, tmp_path / "b.geojson", GeoJsonOptions(background=False))
    names = {feature["properties"]["classification"]["name"] for feature in polygons(exact.path)[0]}
    assert "background" not in names
    assert "blood" not in names  # none there
    coarse = write_geojson(opened, tmp_path / "c.geojson", GeoJsonOptions(level=1))
    assert sum(shape.area for shape in polygons(coarse.path)[1]) == pytest.approx(
        16 * (labels < 254).sum(), rel=0.02
    )


def test_simplified_outlines_stay_within_the_tolerance(tmp_path):
    rows, columns = np.ogrid[:600, :600]
    disc = np.where(np.hypot(rows - 300, columns - 300) < 200, 1, 255).astype(np.uint8)
    opened = open_label_store(make_store(tmp_path / "d.wsiseg.ome.zarr", disc))
    exact = polygons(write_geojson(opened, tmp_path / "a.geojson").path)[1][0]
    done = write_geojson(opened, tmp_path / "b.geojson", GeoJsonOptions(tolerance=2.0))
    loose = polygons(done.path)[1][0]
    assert done.points < 100
    # 2 um are 8 level-0 pixels.
    assert exact.boundary.hausdorff_distance(loose.boundary) <= 8 + 1e-6
    assert abs(exact.area - loose.area) <= 8 * exact.length


def test_simplified_noise_is_valid_and_each_outline_within_the_tolerance(tmp_path):
    """Areas with many holes and necks of one pixel, where rings simplified on their own would cross."""
    noise = np.random.default_rng(3).random((240, 320))
    labels = (ndimage.gaussian_filter(noise, 2) > 0.5).astype(np.uint8) + 1
    opened = open_label_store(make_store(tmp_path / "n.wsiseg.ome.zarr", labels))
    exact = write_geojson(opened, tmp_path / "a.geojson")
    done = write_geojson(opened, tmp_path / "b.geojson", GeoJsonOptions(tolerance=1.5))
    assert done.polygons == exact.polygons
    assert done.points < 0.5 * exact.points
    by_id = {feature["id"]: shape for feature, shape in zip(*polygons(exact.path), strict=True)}
    largest = 0
    for feature, loose in zip(*polygons(done.path), strict=True):
        outline = by_id[feature["id"]]
        assert loose.is_valid
        assert len(loose.interiors) == len(outline.interiors)
        assert loose.boundary.hausdorff_distance(outline.boundary) <= 6 + 1e-3  # 1.5 um, 4 px each
        largest = max(largest, len(outline.interiors))
    assert largest > 5
    for value in (1, 2):
        area = sum(
            shape.area
            for feature, shape in zip(*polygons(done.path), strict=True)
            if feature["properties"]["classification"]["name"] == TISSUE8.by_id(value).name
        )
        assert area == pytest.approx(16 * (labels == value).sum(), rel=0.02)


def test_rings_that_would_cross_are_put_back_and_no_more(monkeypatch):
    """A hole under a gable: the straight line that the gable would become runs through the hole."""
    roof = [(0, 0), (100, 0), (100, 10), (60, 10), (50, 16), (40, 10), (0, 10)]
    hole = [(45, 9), (50, 8), (55, 9), (50, 14)]
    far = [(10, 3), (11, 3.1), (12, 3), (12, 5), (10, 5)]
    rings = [np.array(ring, np.float64) for ring in (roof, hole, far)]
    sizes = np.array([len(ring) for ring in rings])
    exact = shapely.Polygon(roof, [hole, far])
    for rounds in (simplify.MOST_ROUNDS, 0):  # 0: straight to the method that keeps the topology
        monkeypatch.setattr(simplify, "MOST_ROUNDS", rounds)
        points, counts, shapes = simplify.simplified(np.concatenate(rings), sizes, np.zeros(3, int), 7.0)
        ends = np.cumsum(counts)
        made = [points[end - count : end] for end, count in zip(ends, counts, strict=True)]
        polygon = shapely.Polygon(made[0], made[1:])
        assert list(shapes) == [0, 0, 0]
        assert polygon.is_valid
        assert polygon.boundary.hausdorff_distance(exact.boundary) <= 7.0


def test_size_guard_says_what_to_raise_and_leaves_nothing(store, tmp_path):
    opened = open_label_store(store)
    with pytest.raises(InputRefusedError, match="--tolerance-um, --min-area-um2 or --level"):
        write_geojson(opened, tmp_path / "a.geojson", GeoJsonOptions(most_points=50))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.geojson").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        write_geojson(opened, tmp_path / "a.geojson")
    assert (tmp_path / "a.geojson").read_text() == "mine"
    for options in (
        GeoJsonOptions(level=9),
        GeoJsonOptions(tolerance=-1),
        GeoJsonOptions(min_area=float("nan")),
    ):
        with pytest.raises(UsageError):
            write_geojson(opened, tmp_path / "b.geojson", options)


def test_png_has_the_labels_and_the_colours(store, labels, tmp_path, monkeypatch):
    opened = open_label_store(store)
    assert write_label_png(opened, tmp_path / "a.png") == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        rgba = np.asarray(image.convert("RGBA"))
    assert tuple(rgba[301, 301]) == (*TISSUE8.by_id(7).colour, 255)
    assert rgba[-1, -1, 3] == 0
    monkeypatch.setattr(label_png, "DEFAULT_PX", 600)
    assert write_label_png(opened, tmp_path / "b.png") == 1
    monkeypatch.setattr(label_png, "LARGEST_PX", 1000)
    with pytest.raises(InputRefusedError, match="--level 1"):
        write_label_png(opened, tmp_path / "c.png", 0)


def test_what_is_no_store_or_a_damaged_one_is_refused(store, tmp_path):
    with pytest.raises(InputRefusedError, match="no such folder"):
        open_label_store(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputRefusedError, match="no result of wsiseg"):
        open_label_store(tmp_path / "empty")
    copy = tmp_path / "s.wsiseg.ome.zarr"
    shutil.copytree(store, copy)
    (tmp_path / "s.wsiseg-work").mkdir()
    with pytest.raises(InputRefusedError, match="not finished"):
        open_label_store(copy)
    (tmp_path / "s.wsiseg-work").rmdir()
    files = [item for item in (copy / "labels" / "tissue" / "0").rglob("*") if item.is_file()]
    chunk = max(
        (item for item in files if not item.name.startswith((".", "zarr"))), key=lambda x: x.stat().st_size
    )
    chunk.write_bytes(chunk.read_bytes()[:-20])
    with pytest.raises(InputRefusedError, match="damaged"):
        write_geojson(open_label_store(copy), tmp_path / "x.geojson")
    assert not list(tmp_path.glob("*x.geojson*"))
    metadata = next(item for item in (copy / "zarr.json", copy / ".zattrs") if item.is_file())
    metadata.write_text(metadata.read_text().replace('"name": "blood"', '"nome": "blood"'))
    with pytest.raises(InputRefusedError, match="no result of wsiseg") as caught:
        open_label_store(copy)
    assert "\n" not in str(caught.value)


def test_ids_are_uuids_of_version_5():
    for key in ("a", "s.svs/0/é/1", "x" * 500):
        assert geojson._uuid(key) == str(uuid.uuid5(geojson.NAMESPACE, key))
