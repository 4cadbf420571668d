"""Outlines: exact, valid, the same however the map is cut into strips."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsiseg.annotations import contours
from wsiseg.annotations.annotation import Annotation, ring_area
from wsiseg.annotations.contours import trace_outlines
from wsiseg.annotations.rasterise import AnnotationLayer
from wsiseg.annotations.rings import cut_at_touching_corners
from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region

WANTED = np.arange(256) < 254


def strips(labels, rows):
    for top in range(0, len(labels), rows):
        yield labels[top : top + rows]


def outlines(labels, rows=10_000):
    return list(trace_outlines(strips(labels, rows), WANTED))


def comparable(found):
    return sorted(
        (item.label, item.area_px, item.exterior.tolist(), sorted(sorted(map(tuple, h)) for h in item.holes))
        for item in found
    )


def drawn(found, shape):
    items = [
        Annotation("x", item.exterior.astype(float), tuple(hole.astype(float) for hole in item.holes), number)
        for number, item in enumerate(found)
    ]
    layer = AnnotationLayer(items, [item.label for item in found])
    return layer.rasterise(Region(0, 0, shape[1], shape[0]))


maps = arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 1, 1, 2, 255]),
    fill=st.nothing(),
)


@settings(max_examples=150, deadline=None)
@given(maps, st.integers(1, 5))
def test_outlines_are_valid_exact_and_independent_of_strips(labels, rows):
    whole = outlines(labels)
    polygons = [shapely.Polygon(item.exterior, item.holes) for item in whole]
    assert all(polygon.is_valid for polygon in polygons)
    assert [polygon.area for polygon in polygons] == [item.area_px for item in whole]
    np.testing.assert_array_equal(drawn(whole, labels.shape), labels)
    assert comparable(outlines(labels, rows)) == comparable(whole)


def test_a_square_has_four_corners_clockwise_from_the_top_left():
    labels = np.full((9, 9), 255, np.uint8)
    labels[2:6, 3:8] = 7
    (only,) = outlines(labels, rows=2)
    assert only.exterior.tolist() == [[3, 2], [8, 2], [8, 6], [3, 6]]
    assert (only.label, only.area_px, only.holes) == (7, 20, [])


def test_squares_that_touch_at_a_corner_stay_apart_and_a_pocket_becomes_a_hole():
    apart = np.full((4, 4), 255, np.uint8)
    apart[:2, :2] = apart[2:, 2:] = 1
    assert len(outlines(apart)) == 2
    pocket = np.ones((3, 3), np.uint8)
    pocket[0, 0] = pocket[1, 1] = 255  # the hole touches the outside at a corner
    (only,) = outlines(pocket)
    assert [hole.tolist() for hole in only.holes] != []
    assert shapely.Polygon(only.exterior, only.holes).is_valid


@settings(max_examples=100, deadline=None)
@given(maps, st.integers(1, 5), st.integers(2, 9))
def test_small_areas_are_counted_and_the_others_the_same_by_threads(labels, rows, least_px):
    whole = outlines(labels, rows)
    small = []
    with ThreadPoolExecutor(2) as pool:
        kept = list(
            trace_outlines(
                strips(labels, rows), WANTED, least_px=least_px, left_out=small.append, each=pool.map
            )
        )
    assert comparable(kept) == comparable([item for item in whole if item.area_px >= least_px])
    assert sum(small) == len(whole) - len(kept)


def test_a_ring_is_cut_where_it_passes_a_corner_twice():
    small, middle, large = ([(at, at), (at + 4, at), (at + 4, at + 4), (at, at + 4)] for at in (8, 4, 0))
    # Three squares, each hanging at the corner of the one before, walked around in one go.
    ring = [*large[:3], *middle[1:3], *small[1:], *middle[2:], *large[2:]]
    found = cut_at_touching_corners(np.array(ring, np.int64))
    assert [sorted(map(tuple, item.tolist())) for item in found] == [
        sorted(s) for s in (small, middle, large)
    ]
    assert [ring_area(item) for item in found] == [16, 16, 16]
    (same,) = cut_at_touching_corners(np.array(large, np.int64))
    assert same.tolist() == [list(point) for point in large]


def test_reserved_labels_are_not_traced():
    assert outlines(np.array([[254, 255]], np.uint8)) == []
    assert outlines(np.zeros((0, 5), np.uint8)) == []


def test_outlines_that_never_end_are_refused(monkeypatch):
    monkeypatch.setattr(contours, "MOST_OPEN_POINTS", 100)
    labels = np.zeros((200, 40), np.uint8)
    labels[:, ::2][:-1] = np.arange(199)[:, None] % 2  # one jagged shape that goes on downwards
    with pytest.raises(InputRefusedError, match="--level"):
        outlines(labels, rows=8)
