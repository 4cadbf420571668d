"""Label TIFFs, each read by programs that are not ours: same labels, same colours, right um per pixel."""

import json
import tracemalloc

import numpy as np
import openslide
import pytest
import pyvips
import tifffile
import tiffslide
from label_stores import PHOTO, labels_for_tests, large_sparse_store, make_store

from wsiseg.class_map import TISSUE8
from wsiseg.exports import label_tiff
from wsiseg.exports.composition_table import write_composition
from wsiseg.exports.geojson import write_geojson
from wsiseg.exports.label_store import open_label_store
from wsiseg.exports.label_tiff import write_label_tiff
from wsiseg.geometry import Region


@pytest.fixture(scope="module", params=["0.5", "0.4"])
def store(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return open_label_store(make_store(folder / "s.wsiseg.ome.zarr", labels_for_tests(), request.param))


@pytest.fixture(scope="module")
def files(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiff")
    paths = {"ome-tiff": folder / "s.ome.tiff", "tiff": folder / "s.tiff"}
    for kind, path in paths.items():
        assert write_label_tiff(store, path, kind) is False
    return paths


def level(store, number):
    rows, columns = store.shape(number)
    return store.read(number, Region(0, 0, columns, rows))


def rgb_of(labels):
    table = np.zeros((256, 3), np.uint8)
    for label, rgba in TISSUE8.colour_table():
        table[label] = rgba[:3]
    table[255] = 128
    return table[labels]


@pytest.mark.parametrize("kind", ["ome-tiff", "tiff"])
def test_tifffile_reads_the_labels_of_every_level(store, files, kind):
    with tifffile.TiffFile(files[kind]) as tiff:
        levels = tiff.series[0].levels
        assert len(levels) == len(store.levels) == 3
        for number, found in enumerate(levels):
            np.testing.assert_array_equal(found.asarray(), level(store, number))
            page = found.pages[0]
            assert page.is_tiled
            assert not page.is_reduced if number == 0 else page.is_reduced
            assert page.get_resolution("MICROMETER") == pytest.approx((1 / 2**number, 1 / 2**number))


def test_ome_xml_has_sizes_and_names(files):
    with tifffile.TiffFile(files["ome-tiff"]) as tiff:
        assert tiff.is_ome
        assert len(tiff.pages) == 1
        image = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        names = tifffile.xml2dict(tiff.ome_metadata)["OME"]["StructuredAnnotations"]["MapAnnotation"]["Value"]
    assert (image["PhysicalSizeX"], image["PhysicalSizeXUnit"]) == (1.0, "µm")
    assert (image["SizeX"], image["SizeY"]) == (1200, 900)
    assert {item["K"]: item["value"] for item in names["M"]}[7] == "necrosis"


def test_openslide_sees_every_level_with_its_mpp_and_colours(store, files):
    with openslide.OpenSlide(files["tiff"]) as slide:
        assert slide.level_dimensions == ((1200, 900), (600, 450), (300, 225))
        assert slide.level_downsamples == pytest.approx((1, 2, 4))
        for axis in "xy":
            assert float(slide.properties[f"openslide.mpp-{axis}"]) == pytest.approx(1.0)
        for number, size in enumerate(slide.level_dimensions):
            found = np.asarray(slide.read_region((0, 0), number, size))
            np.testing.assert_array_equal(found[..., :3], rgb_of(level(store, number)))
            assert (found[..., 3] == 255).all()


def test_pyvips_and_tiffslide_read_them(store, files):
    for number in range(3):
        expected = level(store, number)
        how = {"subifd": number - 1} if number else {}
        ids = pyvips.Image.new_from_file(str(files["ome-tiff"]), **how)
        np.testing.assert_array_equal(ids.numpy(), expected)
        assert ids.xres == pytest.approx(1000 / 2**number)  # pixels per mm
        shown = pyvips.Image.new_from_file(str(files["tiff"]), page=number)
        np.testing.assert_array_equal(shown.numpy(), rgb_of(expected))
    with tiffslide.TiffSlide(files["tiff"]) as slide:
        assert slide.level_dimensions == ((1200, 900), (600, 450), (300, 225))
        assert slide.properties["tiffslide.mpp-x"] == pytest.approx(1.0)


def test_the_description_says_what_the_values_mean(files):
    with tifffile.TiffFile(files["tiff"]) as tiff:
        said = json.loads(tiff.pages[0].description)
    assert {"id": 5, "name": "secretion", "rgb": [0, 255, 0]} in said["classes"]
    assert [item["name"] for item in said["classes"]][-2:] == ["unread", "not analysed"]


def test_same_store_same_bytes_and_bigtiff_when_needed(store, files, tmp_path, monkeypatch):
    for kind, path in files.items():
        write_label_tiff(store, tmp_path / path.name, kind)
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    monkeypatch.setattr(label_tiff, "CLASSIC_LIMIT", 1_000_000)
    assert write_label_tiff(store, tmp_path / "big.tiff", "tiff") is True
    with tifffile.TiffFile(tmp_path / "big.tiff") as tiff:
        assert tiff.is_bigtiff
        np.testing.assert_array_equal(tiff.pages[0].asarray(), level(store, 0))
    with openslide.OpenSlide(tmp_path / "big.tiff") as slide:
        assert slide.level_count == 3


def test_a_photo_has_no_physical_size(tmp_path):
    photo = open_label_store(make_store(tmp_path / "p.wsiseg.ome.zarr", labels_for_tests(), run=PHOTO))
    write_label_tiff(photo, tmp_path / "p.ome.tiff", "ome-tiff")
    write_label_tiff(photo, tmp_path / "p.tiff", "tiff")
    with tifffile.TiffFile(tmp_path / "p.ome.tiff") as tiff:
        assert "PhysicalSizeX" not in tiff.ome_metadata
        np.testing.assert_array_equal(tiff.asarray(), labels_for_tests())
    with openslide.OpenSlide(tmp_path / "p.tiff") as slide:
        assert "openslide.mpp-x" not in slide.properties


def test_memory_does_not_depend_on_the_slide(tmp_path, monkeypatch):
    """A map of 196 MB goes to four formats in a part of its bytes that does not grow with its rows.

    By one thread: of several, each holds as much, at most (see test_exports_ahead.py).
    """
    monkeypatch.setenv("WSISEG_CPUS", "1")
    store = open_label_store(large_sparse_store(tmp_path / "l.wsiseg.ome.zarr"))
    for name, write in (
        ("a.ome.tiff", lambda path: write_label_tiff(store, path, "ome-tiff")),
        ("a.tiff", lambda path: write_label_tiff(store, path, "tiff")),
        ("a.geojson", lambda path: write_geojson(store, path)),
        ("a.csv", lambda path: write_composition(store, path)),
    ):
        tracemalloc.start()
        try:
            write(tmp_path / name)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 80_000_000, name
    with tifffile.TiffFile(tmp_path / "a.tiff") as tiff:
        assert tiff.pages[0].shape == (14_000, 14_000)
    with openslide.OpenSlide(tmp_path / "a.tiff") as slide:
        for corner, colours in ((0, 8), (13_900, 1)):
            found = np.asarray(slide.read_region((corner, corner), 0, (1000, 1000)))[:100, :100, :3]
            assert len(np.unique(found.reshape(-1, 3), axis=0)) <= colours
        assert (found == 128).all()
