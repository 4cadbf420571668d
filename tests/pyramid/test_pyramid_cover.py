"""Properties of the pyramids at odd sizes: every pixel of every level is written by one task."""

import itertools

import dask
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.geometry import Region, ceil_div
from wsiseg.pyramid.levels import COARSEST_PX, half_shape, halve_image, halve_labels, level_shapes
from wsiseg.pyramid.store import StoreLayout
from wsiseg.stitching.graph import pyramid_graph

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
sides = st.integers(1, 9_000)


def layout_of(rows, columns, shrink, block_px):
    return StoreLayout(
        version="0.5",
        name="a",
        unit="micrometer",
        label_shape=(rows, columns),
        label_pixel=(1.0, 1.0),
        image_shape=(ceil_div(rows, shrink), ceil_div(columns, shrink)),
        image_pixel=(float(shrink), float(shrink)),
        block_px=block_px,
    )


@QUICK
@given(sides, sides, st.sampled_from([1, 2, 3, 5]), st.sampled_from([512, 1024, 2048]))
def test_cells_cover_each_level_once(rows, columns, shrink, block_px):
    layout = layout_of(rows, columns, shrink, block_px)
    assert len(layout.label_levels) == len(layout.image_levels)
    for kind in ("label", "image"):
        side = layout.cell_px(kind)
        for level, (high, wide) in enumerate(layout.levels(kind)):
            seen = [
                layout.cell(kind, level, row, column)
                for row in range(ceil_div(high, side))
                for column in range(ceil_div(wide, side))
            ]
            assert sum(cell.area for cell in seen) == high * wide
            for row_of_cells in (sorted({cell.y for cell in seen}), sorted({cell.x for cell in seen})):
                assert row_of_cells == list(range(0, row_of_cells[-1] + 1, side))
            whole = Region(0, 0, wide, high)
            assert all(cell.area and cell.intersect(whole) == cell for cell in seen)


@QUICK
@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_levels_halve_until_they_are_small(rows, columns):
    shapes = level_shapes(rows, columns)
    assert shapes[0] == (rows, columns)
    assert max(shapes[-1]) <= COARSEST_PX
    for finer, coarser in itertools.pairwise(shapes):
        assert max(finer) > COARSEST_PX
        assert coarser == half_shape(finer)
        assert all(2 * small - 1 <= large <= 2 * small for large, small in zip(finer, coarser, strict=True))


@QUICK
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([2, 8, 16]), st.integers(0, 9))
def test_halving_cell_by_cell_is_halving_at_once(rows, columns, side, seed):
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([0, 1, 5, UNREAD, NOT_ANALYSED], np.uint8), (rows, columns))
    image = random.integers(0, 256, (3, rows, columns), np.uint8)
    high, wide = half_shape((rows, columns))
    put = np.full((high, wide), 99, np.uint8)
    put_image = np.zeros((3, high, wide), np.uint8)
    for y in range(0, high, side):
        for x in range(0, wide, side):
            part = np.s_[y : y + side, x : x + side]
            under = np.s_[..., 2 * y : 2 * (y + side), 2 * x : 2 * (x + side)]
            put[part] = halve_labels(labels[under])
            put_image[:, *part] = halve_image(image[under])
    np.testing.assert_array_equal(put, halve_labels(labels))
    np.testing.assert_array_equal(put_image, halve_image(image))


@QUICK
@given(sides, sides, st.sampled_from([512, 1024]), st.data())
def test_the_graph_writes_every_cell_once_and_after_those_under_it(rows, columns, block_px, data):
    layout = layout_of(rows, columns, 1, block_px)
    levels = layout.levels("label")
    finest = {
        (row, column)
        for row in range(ceil_div(rows, block_px))
        for column in range(ceil_div(columns, block_px))
    }
    done = set(data.draw(st.lists(st.sampled_from(sorted((0, *at) for at in finest)), max_size=5)))
    order = []
    tasks = pyramid_graph("label", levels, block_px, finest, done, order.append)
    dask.compute(*tasks, scheduler="synchronous", optimize_graph=False)
    wanted = {
        (level, row, column)
        for level, (high, wide) in enumerate(levels)
        for row in range(ceil_div(high, block_px))
        for column in range(ceil_div(wide, block_px))
    }
    assert len(order) == len(set(order))
    assert set(order) == wanted - done
    place = {cell: number for number, cell in enumerate(order)}
    for level, row, column in order:
        for under in ((level - 1, 2 * row + y, 2 * column + x) for y in (0, 1) for x in (0, 1)):
            if level and under in place:
                assert place[under] < place[level, row, column]
