from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.geometry import Region
from wsiseg.tiling.resample import area_any, area_mean, source_region

FACTORS = [
    (1.0, 1.0),
    (2.0, 2.0),
    (2.004, 2.004),
    (1.5, 3.0),
    (1.0 / 0.998, 1.002),
    (4.016, 3.2),
    (0.997, 1.0),
]


def slow_mean(source, factor, target):
    """Average by exact fractions, pixel by pixel, over the whole source."""
    fx, fy = Fraction(factor[0]), Fraction(factor[1])
    out = np.zeros((target.height, target.width, source.shape[2]), float)
    for row in range(target.height):
        for column in range(target.width):
            low_y, high_y = (target.y + row) * fy, (target.y + row + 1) * fy
            low_x, high_x = (target.x + column) * fx, (target.x + column + 1) * fx
            total = np.zeros(source.shape[2])
            weight = 0.0
            for y in range(int(low_y), min(source.shape[0], int(high_y) + 1)):
                share_y = min(high_y, y + 1) - max(low_y, y)
                for x in range(int(low_x), min(source.shape[1], int(high_x) + 1)):
                    share = share_y * (min(high_x, x + 1) - max(low_x, x))
                    if share > 0:
                        total += float(share) * source[y, x]
                        weight += float(share)
            out[row, column] = total / weight
    return out


@pytest.mark.parametrize("factor", FACTORS)
def test_equals_the_mean_by_exact_fractions(factor):
    rng = np.random.default_rng(3)
    source = rng.integers(0, 256, (60, 70, 3), np.uint8)
    target = Region(2, 3, 9, 8)
    at = source_region(target, factor)
    fast = area_mean(source[at.y : at.bottom, at.x : at.right], at, target, factor)
    slow = slow_mean(source, factor, target)
    assert np.abs(fast - slow).max() <= 0.5 + 1e-3


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FACTORS), st.integers(0, 20), st.integers(0, 20), st.integers(1, 15), st.integers(1, 15)
)
def test_a_part_equals_the_same_part_of_the_whole(factor, x, y, width, height):
    """Whatever the tile, a pixel's value is the same to the bit."""
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (170, 170, 3), np.uint8)
    whole = Region(0, 0, 40, 40)
    whole_at = source_region(whole, factor)
    part = Region(x, y, width, height)
    at = source_region(part, factor)
    complete = area_mean(
        source[whole_at.y : whole_at.bottom, whole_at.x : whole_at.right], whole_at, whole, factor
    )
    alone = area_mean(source[at.y : at.bottom, at.x : at.right], at, part, factor)
    np.testing.assert_array_equal(alone, complete[part.slices_in(whole)])


@pytest.mark.parametrize("factor", FACTORS)
def test_a_region_left_of_the_origin_reads_left_of_the_origin(factor):
    at = source_region(Region(-8, -16, 8, 8), factor)
    assert at.x <= -8 * factor[0] < at.x + 1
    assert at.right == 0


@pytest.mark.parametrize("factor", [(2.0, 2.0), (2.004, 2.004), (1.5, 3.0)])
def test_any_marks_what_touches_a_marked_pixel(factor):
    mask = np.zeros((60, 60), bool)
    mask[20, 20] = True
    target = Region(0, 0, 15, 15)
    at = source_region(target, factor)
    marked = area_any(mask[at.y : at.bottom, at.x : at.right], at, target, factor)
    spread = area_mean(
        (mask * 255).astype(np.uint8)[at.y : at.bottom, at.x : at.right, None], at, target, factor
    )
    assert marked.any()
    assert marked[spread[..., 0] > 0].all()
    assert marked.sum() <= 4
