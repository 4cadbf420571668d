"""Annotations to a store and back: exact, across blocks, resumable, refused in one line."""

import json
import subprocess
import sys

import numpy as np
import pytest
import shapely
import tifffile
import yaml
import zarr
from PIL import Image
from small_models import integer_model

import wsiseg
from wsiseg import label_import
from wsiseg.class_map import TISSUE8
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports.geojson import GeoJsonOptions, write_geojson
from wsiseg.exports.label_store import open_label_store
from wsiseg.label_import import ImportOptions, import_annotations


def write_slide(path, width, height, mpp=0.5, seed=0):
    random = np.random.default_rng(seed)
    cells = random.integers(120, 230, (height // 25 + 1, width // 25 + 1, 3), dtype=np.uint8)
    rgb = cells.repeat(25, 0).repeat(25, 1)[:height, :width]
    per_cm = 10000 / mpp
    tifffile.imwrite(
        path, rgb, tile=(256, 256), photometric="rgb", resolution=(per_cm, per_cm), resolutionunit=3
    )
    return path


def square(left, top, right, bottom, name):
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}


def write_geojson_file(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def labels_of(store, level=0):
    return zarr.open_array(str(store / "labels" / "tissue" / str(level)), mode="r")[:]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "case.tif", 900, 700)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A label image over two by two blocks, shapes across their seams, and the store made of it."""
    folder = tmp_path_factory.mktemp("wide")
    source = write_slide(folder / "wide.tif", 2600, 2300)
    rows, columns = np.ogrid[:2300, :2600]
    labels = np.full((2300, 2600), 255, np.uint8)
    radius = np.hypot(rows - 2048, columns - 2048)
    labels[radius < 240] = 3
    labels[radius < 120] = 0
    labels[radius < 60] = 2
    labels[100:160, 300:2500] = 5
    labels[(np.hypot(rows - 700, columns - 900) < 500) & ((rows // 7 + columns // 11) % 5 > 0)] = 4
    Image.fromarray(labels).save(folder / "labels.png")
    result = import_annotations(folder / "labels.png", source, folder)
    return source, labels, result


def test_a_store_like_that_of_a_prediction(slide, tmp_path):
    path = write_geojson_file(
        tmp_path / "a.geojson", square(100, 100, 500, 400, "Blood"), square(300, 200, 350, 260, "NECROSIS")
    )
    result = import_annotations(path, slide, tmp_path, ImportOptions(mpp=1.0, image_mpp=2.0))
    assert result.store.name == "case.annotations.wsiseg.ome.zarr"
    labels = labels_of(result.store)
    expected = np.full((350, 450), 255, np.uint8)
    expected[50:200, 50:250] = 6
    expected[100:130, 150:175] = 7
    np.testing.assert_array_equal(labels, expected)
    areas = {row["name"]: row["mm2"] for row in result.summary["classes"]}
    assert areas["necrosis"] == pytest.approx(30 * 25 * 1e-6)
    assert areas["blood"] == pytest.approx((150 * 200 - 30 * 25) * 1e-6)
    assert result.summary["areas"]["not_analysed"] == pytest.approx((expected == 255).sum() * 1e-6)
    image = zarr.open_array(str(result.store / "0"), mode="r")[:]
    assert image.shape == (3, 175, 225)
    assert image.std() > 10
    with Image.open(result.overlay) as overlay:
        assert overlay.size[0] > 1000


def test_run_again_it_is_left_alone_and_other_settings_are_refused(slide, tmp_path):
    path = write_geojson_file(tmp_path / "a.geojson", square(0, 0, 50, 40, "Blood"))
    first = import_annotations(path, slide, tmp_path)
    assert not first.was_finished
    assert import_annotations(path, slide, tmp_path).was_finished
    with pytest.raises(UsageError, match=r"annotations\.overlap"):
        import_annotations(path, slide, tmp_path, ImportOptions(overlap="smaller"))
    again = import_annotations(path, slide, tmp_path, ImportOptions(overlap="smaller", overwrite=True))
    assert not again.was_finished


def test_interrupted_it_resumes_to_the_same_bytes(wide, tmp_path, monkeypatch):
    source, _, whole = wide
    path = whole.store.parent / "labels.png"
    calls = []
    drawn = label_import.ImportRun._label_block

    def interrupted(self, row, column):
        calls.append((row, column))
        if len(calls) > 2:
            raise KeyboardInterrupt
        drawn(self, row, column)

    with monkeypatch.context() as patch:
        patch.setattr(label_import.ImportRun, "_label_block", interrupted)
        with pytest.raises(KeyboardInterrupt):
            import_annotations(path, source, tmp_path, ImportOptions(workers=1))
    result = import_annotations(path, source, tmp_path)
    assert result.summary["tasks_resumed"] >= 2

    def content(folder):
        return {
            str(item.relative_to(folder)): item.read_bytes() for item in folder.rglob("*") if item.is_file()
        }

    assert content(result.store) == content(whole.store)


def test_label_image_arrives_exactly_and_every_level_is_there(wide):
    _, labels, result = wide
    np.testing.assert_array_equal(labels_of(result.store), labels)
    coarse = labels_of(result.store, 3)
    assert coarse.shape == (288, 325)
    assert set(np.unique(coarse)) <= set(np.unique(labels))
    assert not list((result.store / "labels" / "tissue" / "0").rglob("*.partial"))


def test_store_to_geojson_to_store(wide, tmp_path):
    """The round trip, through the files: exact without simplification."""
    source, labels, result = wide
    store = open_label_store(result.store)
    done = write_geojson(store, tmp_path / "out.geojson.gz")
    back = import_annotations(done.path, source, tmp_path)
    np.testing.assert_array_equal(labels_of(back.store), labels)
    loose = write_geojson(store, tmp_path / "loose.geojson", GeoJsonOptions(tolerance=1.0))
    assert loose.points < 0.7 * done.points
    back = import_annotations(loose.path, source, tmp_path / "loose")
    assert (labels_of(back.store) == labels).mean() > 0.98


def test_a_prediction_goes_to_geojson_and_back(tmp_path):
    """Level-0 pixels per label pixel are no whole number here (1 / 0.4)."""
    source = write_slide(tmp_path / "s.tif", 1111, 903, mpp=0.4, seed=2)
    options = wsiseg.PredictOptions(model=integer_model(), tissue="none", runtime="torch", precision="fp32")
    predicted = wsiseg.segment_slide(source, tmp_path, options)
    labels = labels_of(predicted.store)
    assert len(np.unique(labels)) > 3
    done = write_geojson(open_label_store(predicted.store), tmp_path / "s.geojson")
    back = import_annotations(done.path, source, tmp_path, ImportOptions(mpp=1.0))
    agreement = (labels_of(back.store) == labels).mean()
    assert agreement >= 0.99
    features = json.loads(done.path.read_text())["features"]
    for item in TISSUE8.classes:
        mine = [
            shapely.geometry.shape(feature["geometry"])
            for feature in features
            if feature["properties"]["classification"]["name"] == item.name
        ]
        assert all(polygon.is_valid for polygon in mine)
        area_px = sum(polygon.area for polygon in mine) / 2.5**2
        assert area_px == pytest.approx((labels == item.id).sum(), rel=1e-6)


def test_refused_in_one_line(slide, tmp_path):
    good = write_geojson_file(tmp_path / "a.geojson", square(0, 0, 50, 40, "Blood"))
    unknown = write_geojson_file(tmp_path / "b.geojson", square(0, 0, 5, 4, "Pen"))
    far = write_geojson_file(tmp_path / "c.geojson", square(5000, 0, 6000, 40, "Blood"))
    cases = [
        (unknown, ImportOptions(), InputRefusedError, "'Pen'"),
        (far, ImportOptions(), InputRefusedError, "another slide"),
        (good, ImportOptions(mpp=0.1), UsageError, "--mpp"),
        (good, ImportOptions(mpp=8.0), UsageError, "--image-mpp"),
        (tmp_path / "none.geojson", ImportOptions(), InputRefusedError, "no such file"),
    ]
    for path, options, kind, reason in cases:
        with pytest.raises(kind, match=reason) as caught:
            import_annotations(path, slide, tmp_path / "out", options)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    result = import_annotations(unknown, slide, tmp_path, ImportOptions(ignored=("pen",)))
    assert (labels_of(result.store) == 255).all()


def cli(*arguments):
    command = [sys.executable, "-m", "wsiseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_command_line_with_classes_of_ones_own(slide, tmp_path):
    path = write_geojson_file(
        tmp_path / "a.geojson", square(10, 10, 90, 90, "DCIS"), square(-50, 40, 60, 60, "Pen")
    )
    classes = tmp_path / "classes.yaml"
    classes.write_text(
        yaml.safe_dump(
            {
                "classes": [{"id": 4, "name": "tumour", "colour": [200, 0, 0], "annotation_names": ["dcis"]}],
                "ignored_names": ["pen"],
            }
        )
    )
    done = cli("import", path, "--slide", slide, "-o", tmp_path, "--classes", classes, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["classes"][0]["mm2"] == pytest.approx((80 * 80 - 50 * 20) * 0.25e-6)
    assert "beyond the slide" in done.stderr
    store = tmp_path / "case.annotations.wsiseg.ome.zarr"
    exported = cli("export", store, "--format", "geojson")
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "case.annotations.geojson").is_file()
    refused = cli("import", path, "--slide", slide, "-o", tmp_path)
    assert refused.returncode == 3
    assert len(refused.stderr.splitlines()) == 1
    assert cli("import", path, "--slide", slide, "--overlap", "larger").returncode == 2
