"""Drawing: pixel centres, holes, overlaps, and any rectangle as a part of the whole."""

import numpy as np
import pytest
import shapely

from wsiseg.annotations import rasterise as drawing
from wsiseg.annotations.annotation import Annotation
from wsiseg.annotations.classes import label_values, name_table
from wsiseg.annotations.rasterise import AnnotationLayer, rasterise
from wsiseg.class_map import TISSUE8, ClassMap
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region


def area(name, points, holes=(), order=0):
    return Annotation(name, np.array(points, float), tuple(np.array(hole, float) for hole in holes), order)


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def star(random, centre, points=40):
    angle = np.sort(random.uniform(0, 2 * np.pi, points))
    radius = random.uniform(10, 45, points)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None] + centre


def slow_inside(points, holes, region, factor):
    """Ask shapely about every pixel centre."""
    polygon = shapely.Polygon(points, holes)
    x = (np.arange(region.x, region.right) + 0.5) * factor[0]
    y = (np.arange(region.y, region.bottom) + 0.5) * factor[1]
    return shapely.contains_xy(polygon, *np.meshgrid(x, y))


@pytest.mark.parametrize("factor", [(1.0, 1.0), (2.5, 2.4)])
def test_agrees_with_shapely_at_every_pixel_centre(factor):
    random = np.random.default_rng(1)
    for _ in range(5):
        points = star(random, (50.3, 48.7))
        hole = 0.2 * star(random, (0, 0)) + (50.3, 48.7)
        region = Region(-3, 5, 70, 60)
        if not shapely.Polygon(points, [hole]).is_valid:
            continue
        got = rasterise([area("Necrosis", points, [hole])], TISSUE8, region, factor)
        expected = np.where(slow_inside(points, [hole], region, factor), 7, 255)
        np.testing.assert_array_equal(got, expected)


def test_a_part_equals_the_part_of_the_whole_and_long_outlines_go_in_pieces(monkeypatch):
    random = np.random.default_rng(2)
    items = [area("blood", star(random, random.uniform(20, 180, 2)), order=n) for n in range(9)]
    layer = AnnotationLayer(items, list(range(9)))
    whole = layer.rasterise(Region(0, 0, 200, 200))
    assert len(np.unique(whole)) > 5
    monkeypatch.setattr(drawing, "MOST_CROSSINGS", 7)
    for x in range(0, 200, 50):
        for y in range(0, 200, 40):
            part = Region(x, y, 50, 40)
            np.testing.assert_array_equal(layer.rasterise(part), whole[y : y + 40, x : x + 50])


def test_neighbours_share_no_pixel_and_leave_none():
    left, right = box(0, 0, 10.5, 9.5), box(10.5, 0, 20, 9.5)
    whole = Region(0, 0, 20, 10)
    one = rasterise([area("blood", left)], TISSUE8, whole) == 6
    other = rasterise([area("blood", right)], TISSUE8, whole) == 6
    assert (one ^ other)[:9].all()


def test_overlap_later_or_smaller():
    small, large = area("blood", box(2, 2, 4, 4), order=0), area("necrosis", box(0, 0, 9, 9), order=1)
    region = Region(0, 0, 9, 9)
    assert (rasterise([small, large], TISSUE8, region) == 7).all()
    smaller = rasterise([small, large], TISSUE8, region, overlap="smaller")
    assert (smaller == 6).sum() == 4
    with pytest.raises(UsageError, match="later"):
        AnnotationLayer([small], [1], "larger")  # type: ignore[arg-type]


def test_holes_that_overlap_or_reach_out_only_take_away():
    holes = [box(2, 2, 6, 6), box(4, 4, 20, 8)[::-1]]
    got = rasterise([area("blood", box(0, 0, 10, 10), holes)], TISSUE8, Region(0, 0, 25, 12)) == 6
    expected = np.zeros((12, 25), bool)
    expected[:10, :10] = True
    expected[2:6, 2:6] = expected[4:8, 4:20] = False
    np.testing.assert_array_equal(got, expected)


def test_a_crossing_outline_is_filled_by_the_even_odd_rule():
    bow = [(0, 0), (10, 10), (10, 0), (0, 10)]
    got = rasterise([area("blood", bow)], TISSUE8, Region(0, 0, 10, 10)) == 6
    assert not got[1, 5]
    assert not got[8, 5]
    assert got[5, 1]
    assert got[5, 8]


def test_names_map_whatever_their_case_and_unknown_ones_are_listed():
    classes = ClassMap(
        classes=(
            TISSUE8.classes[0],
            TISSUE8.classes[1].model_copy(update={"annotation_names": ("DCIS", "Gland")}),
        ),
        ignored_names=("Region*",),
    )
    items = [area(name, box(0, 0, 1, 1)) for name in ("dcis", " BENIGN  epithelium", "region*", "Pen")]
    assert label_values(items, classes, ["pen"]) == [1, 1, 255, 255]
    with pytest.raises(InputRefusedError, match=r"'Pen' \(1\).*--ignore"):
        label_values(items, classes)
    with pytest.raises(UsageError, match="two classes"):
        name_table(classes, ["gland"])
