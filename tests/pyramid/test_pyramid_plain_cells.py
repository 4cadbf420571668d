"""Cells of one value: the same files and the same levels as if each had been written and read."""

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from wsiseg.class_map import TISSUE8
from wsiseg.geometry import Region
from wsiseg.pyramid.plain_cells import plain_value
from wsiseg.pyramid.store import FILL, StoreLayout, create_store

BLOCK_PX = 1024


@pytest.fixture(params=["0.5", "0.4"])
def store(request, tmp_path):
    layout = StoreLayout(
        version=request.param,
        name="slide",
        unit="micrometer",
        label_shape=(2 * BLOCK_PX + 100, 2 * BLOCK_PX + 7),
        label_pixel=(1.0, 1.0),
        image_shape=(600, 600),
        image_pixel=(4.0, 4.0),
        block_px=BLOCK_PX,
    )
    return create_store(tmp_path / "s.ome.zarr", layout, TISSUE8, {}, np.ones((4, 4), bool), 64)


def cell(store, row, column, value):
    return np.full(store.layout.cell("label", 0, row, column).shape, value, np.uint8)


def test_equal_cells_are_equal_files_and_read_back(store):
    sizes = {at: store.write("label", 0, *at, cell(store, *at, 0)) for at in np.ndindex(3, 3)}
    assert (store.read("label", 0, Region(0, 0, 2 * BLOCK_PX + 7, 2 * BLOCK_PX + 100)) == 0).all()
    for row, column in np.ndindex(2, 2):
        files = [file.read_bytes() for file in store.files("label", 0, row, column)]
        first = [file.read_bytes() for file in store.files("label", 0, 0, 0)]
        assert files == first
        assert sizes[row, column] == sum(map(len, files)) > 0
    assert not list(store.path.rglob("*.partial"))


def test_a_copied_shard_is_what_zarr_writes(store, tmp_path):
    if store.layout.version != "0.5":
        pytest.skip("a cell is one file in NGFF 0.5 only")
    for at in ((0, 0), (1, 1)):
        store.write("label", 0, *at, cell(store, *at, 3))
    plain = zarr.create_array(
        str(tmp_path / "plain"),
        shape=store.layout.label_shape,
        dtype="uint8",
        chunks=(512, 512),
        shards=(BLOCK_PX, BLOCK_PX),
        compressors=ZstdCodec(level=3),
        fill_value=FILL["label"],
    )
    plain[BLOCK_PX : 2 * BLOCK_PX, BLOCK_PX : 2 * BLOCK_PX] = cell(store, 1, 1, 3)
    (copied,) = store.files("label", 0, 1, 1)
    assert copied.read_bytes() == (tmp_path / "plain/c/1/1").read_bytes()


def test_another_value_replaces_a_plain_cell(store):
    store.write("label", 0, 0, 0, cell(store, 0, 0, 0))
    store.write("label", 0, 0, 1, cell(store, 0, 1, 0))
    both = Region(0, 0, 2 * BLOCK_PX, BLOCK_PX)
    assert store.plain_value("label", 0, both) == 0
    mixed = cell(store, 0, 1, 0)
    mixed[5, 5] = 4
    store.write("label", 0, 0, 1, mixed)
    assert store.plain_value("label", 0, both) is None
    assert (store.read("label", 0, Region(BLOCK_PX, 0, BLOCK_PX, BLOCK_PX)) == mixed).all()
    store.write("label", 0, 0, 1, cell(store, 0, 1, FILL["label"]))
    assert not list(store.files("label", 0, 0, 1))
    assert store.plain_value("label", 0, both) is None  # two values, each of them plain
    assert store.plain_value("label", 0, Region(0, BLOCK_PX, 10, 10)) is None  # never written by this process


def test_one_pixel_makes_a_cell_not_plain():
    pixels = np.full((3, 40, 50), 7, np.uint8)
    assert plain_value(pixels) == 7
    for at in ((0, 0, 0), (1, 20, 20), (2, 39, 49)):
        other = pixels.copy()
        other[at] = 8
        assert plain_value(other) is None
