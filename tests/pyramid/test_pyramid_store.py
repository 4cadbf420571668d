"""The store by the eyes of others: two validators, and zarr itself."""

import json

import numpy as np
import pytest
import tifffile
import zarr
from small_models import integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.class_map import TISSUE8

SHAPE = (1301, 2111)


@pytest.fixture(scope="module", params=["0.5", "0.4"])
def result(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    random = np.random.default_rng(1)
    rgb = (
        random.integers(60, 250, (SHAPE[0] // 7 + 1, SHAPE[1] // 7 + 1, 3), np.uint8)
        .repeat(7, 0)
        .repeat(7, 1)
    )
    tifffile.imwrite(folder / "s.tif", rgb[: SHAPE[0], : SHAPE[1]], tile=(256, 256), photometric="rgb")
    options = PredictOptions(
        model=integer_model(),
        slide_mpp=(0.5, 0.6),
        tissue="none",
        ngff=request.param,
        halo_px=48,
        runtime="torch",
        precision="fp32",
    )
    return request.param, segment_slide(folder / "s.tif", folder, options)


def test_ome_zarr_models_accepts_image_and_labels(result):
    version, made = result
    if version == "0.5":
        from ome_zarr_models.v05.image import Image
        from ome_zarr_models.v05.image_label import ImageLabel
        from ome_zarr_models.v05.labels import Labels
    else:
        from ome_zarr_models.v04.image import Image
        from ome_zarr_models.v04.image_label import ImageLabel
        from ome_zarr_models.v04.labels import Labels
    root = zarr.open_group(str(made.store), mode="r")
    assert Image.from_zarr(root)
    assert Labels.from_zarr(root["labels"])
    assert ImageLabel.from_zarr(root["labels/tissue"])


def test_yaozarrs_accepts_the_store(result):
    import yaozarrs

    _, made = result
    yaozarrs.validate_zarr_store(str(made.store))
    yaozarrs.validate_zarr_store(str(made.store / "labels" / "tissue"))


def test_scales_align_image_and_labels_at_every_level(result):
    version, made = result
    root = zarr.open_group(str(made.store), mode="r")

    def levels(group, axis):
        attributes = dict(group.attrs)
        content = attributes["ome"] if version == "0.5" else attributes
        for dataset in content["multiscales"][0]["datasets"]:
            scale = dataset["coordinateTransformations"][0]["scale"]
            yield scale[axis], group[dataset["path"]].shape[axis]

    for axis, (extent_um, first) in {-1: (SHAPE[1] * 0.5, 1.0), -2: (SHAPE[0] * 0.6, 1.0)}.items():
        labels = list(levels(root["labels/tissue"], axis))
        image = list(levels(root, axis))
        assert len(labels) == len(image) == 3
        assert labels[0][0] == first
        assert image[0][0] == 4.0
        for number, (scale, count) in enumerate(labels):
            assert scale == first * 2**number
            assert extent_um <= scale * count < extent_um + 2 * scale
        for scale, count in image:
            assert extent_um <= scale * count < extent_um + 2 * scale


def test_levels_are_exactly_the_2x_steps(result):
    from wsiseg.pyramid.levels import halve_image, halve_labels

    _, made = result
    root = zarr.open_group(str(made.store), mode="r")
    for level in (1, 2):
        np.testing.assert_array_equal(
            root[f"labels/tissue/{level}"][:], halve_labels(root[f"labels/tissue/{level - 1}"][:])
        )
        np.testing.assert_array_equal(root[str(level)][:], halve_image(root[str(level - 1)][:]))


def test_names_and_colours_cover_every_value(result):
    version, made = result
    attributes = dict(zarr.open_group(str(made.store), mode="r")["labels/tissue"].attrs)
    image_label = (attributes["ome"] if version == "0.5" else attributes)["image-label"]
    names = {item["label-value"]: item["name"] for item in image_label["properties"]}
    colours = {item["label-value"]: item["rgba"] for item in image_label["colors"]}
    assert names == {item.id: item.name for item in TISSUE8.classes} | {254: "unread", 255: "not analysed"}
    assert colours == {item.id: [*item.colour, 255] for item in TISSUE8.classes} | {
        254: [255, 0, 255, 255],
        255: [0, 0, 0, 0],
    }


def test_arrays_are_as_their_version_has_them(result):
    version, made = result
    root = zarr.open_group(str(made.store), mode="r")
    labels = root["labels/tissue/0"]
    assert labels.dtype == np.uint8
    assert labels.fill_value == 255
    assert labels.chunks == (512, 512)
    if version == "0.5":
        assert labels.shards == (2048, 2048)
        assert labels.metadata.dimension_names == ("y", "x")
        assert root["0"].metadata.dimension_names == ("c", "y", "x")
        assert (made.store / "labels/tissue/0/c/0/0").is_file()
    else:
        assert (made.store / "labels/tissue/0/0/0").is_file()


def test_summary_agrees_with_the_stored_labels(result):
    _, made = result
    labels = zarr.open_group(str(made.store), mode="r")["labels/tissue/0"][:]
    summary = json.loads(made.summary_path.read_text())
    assert summary == made.summary
    for row in summary["classes"]:
        assert row["mm2"] == pytest.approx((labels == row["id"]).sum() * 1e-6, abs=1e-6)
    counted = sum((labels == item.id).sum() for item in TISSUE8.classes if not item.background)
    for row in summary["classes"]:
        if row["percent"] is not None:
            assert row["percent"] == pytest.approx(100 * (labels == row["id"]).sum() / counted, abs=0.001)
    assert sum(row["percent"] or 0 for row in summary["classes"]) == pytest.approx(100, abs=0.01)


def test_nothing_in_the_store_tells_a_date_or_a_path(result):
    _, made = result
    for file in made.store.rglob("*"):
        if file.name in ("zarr.json", ".zattrs", ".zgroup", ".zarray"):
            text = file.read_text()
            assert str(made.store.parent) not in text
