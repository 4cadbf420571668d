from functools import partial

import numpy as np

from wsiseg.geometry import Region
from wsiseg.stitching.graph import pyramid_graph
from wsiseg.stitching.kernel import SegmentedTile, count_confidence, count_values, stitch_block

BLOCK = Region(64, 32, 40, 24)
TILES = [Region(64, 32, 16, 24), Region(80, 32, 16, 24), Region(96, 32, 8, 24)]


def labels_of(tile):
    return SegmentedTile(np.full(tile.shape, 1 + tile.x // 16 % 7, np.uint8))


def test_every_pixel_is_accounted_for_once():
    tissue = np.zeros(BLOCK.shape, bool)
    tissue[4:, 4:] = True
    inside = np.zeros(BLOCK.shape, bool)
    inside[:20, :30] = True

    def segment(tile):
        unread = np.zeros(tile.shape, bool)
        unread[:, :2] = True
        random = np.random.default_rng(tile.x)
        return SegmentedTile(
            labels_of(tile).labels, unread, random.integers(3, 256, tile.shape).astype(np.uint8)
        )

    made = stitch_block(BLOCK, TILES, partial(map, segment), tissue, inside, with_confidence=True)
    labels, counts, values = made.labels, made.counts, made.confidence
    total = sum(counts.predicted.values()) + counts.no_tissue + counts.unread + counts.not_analysed
    assert total == BLOCK.area
    assert (labels[~inside] == 255).all()
    assert (labels[inside & ~tissue] == 0).all()
    unread = np.zeros(BLOCK.shape, bool)
    unread[:, [0, 1, 16, 17, 32, 33]] = True
    np.testing.assert_array_equal(labels == 254, unread & tissue & inside)
    assert counts.unread == (unread & tissue & inside).sum()
    assert counts.no_tissue == (inside & ~tissue).sum()
    np.testing.assert_array_equal(values == 0, ~inside)
    np.testing.assert_array_equal(values == 1, unread & tissue & inside)
    np.testing.assert_array_equal(values == 2, inside & ~tissue)
    spoken = values >= 3
    assert {label: sum(said.histogram) for label, said in counts.confidence.items()} == counts.predicted
    assert sum(said.total for said in counts.confidence.values()) == values[spoken].sum(dtype=np.int64)
    without = stitch_block(BLOCK, TILES, partial(map, segment), tissue, inside)
    np.testing.assert_array_equal(without.labels, labels)
    assert without.confidence is None
    assert without.counts.predicted == counts.predicted


def test_confidences_are_counted_in_tenths_of_their_class():
    labels = np.array([1, 1, 1, 5, 5], np.uint8)
    values = np.array([3, 254, 255, 128, 127], np.uint8)
    counted = count_confidence(labels, values)
    assert sorted(counted) == [1, 5]
    assert counted[1].histogram == (1, 0, 0, 0, 0, 0, 0, 0, 0, 2)
    assert counted[5].histogram == (0, 0, 0, 0, 1, 1, 0, 0, 0, 0)
    assert (counted[1].total, counted[5].total) == (512, 255)


def test_values_are_counted_whatever_the_size():
    random = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (64, 64), (0, 4)):
        pixels = random.integers(0, 256, shape).astype(np.uint8)
        np.testing.assert_array_equal(count_values(pixels), np.bincount(pixels.ravel(), minlength=256))
    wide = random.integers(0, 256, (9, 20)).astype(np.uint8)[:, 3:16]
    np.testing.assert_array_equal(count_values(wide), np.bincount(wide.ravel(), minlength=256))


def test_tiles_without_wanted_pixels_are_never_segmented():
    tissue = np.zeros(BLOCK.shape, bool)
    tissue[:, 20:24] = True
    asked = []

    def segment(tile):
        asked.append(tile)
        return labels_of(tile)

    stitch_block(BLOCK, TILES, partial(map, segment), tissue, None)
    assert asked == [TILES[1]]


def test_graph_makes_coarser_cells_after_the_finer_ones_and_only_what_is_left():
    import dask

    order = []
    shapes = [(5 * 64, 3 * 64), (160, 96), (80, 48), (40, 24)]
    tasks = pyramid_graph(
        "label",
        shapes,
        64,
        {(row, column) for row in range(5) for column in range(3)} - {(4, 2)},
        {(0, 0, 0), (1, 0, 1)},
        order.append,
    )
    dask.compute(*tasks, scheduler="threads", num_workers=3)
    assert len(order) == len(set(order)) == 13 + 4 + 2 + 1
    for level, row, column in order:
        for child in [(level - 1, 2 * row + y, 2 * column + x) for y in (0, 1) for x in (0, 1)]:
            if child in order:
                assert order.index(child) < order.index((level, row, column))
    assert (0, 0, 0) not in order
    assert (1, 0, 1) not in order
    assert (0, 4, 2) not in order
