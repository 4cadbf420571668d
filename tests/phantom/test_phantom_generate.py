"""Phantoms: repeatable, complete, scaled in micrometres, drawn from disjoint ranges."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from wsiseg.errors import UsageError
from wsiseg.phantom.generate import generate_phantom
from wsiseg.phantom.parameters import (
    HELD_OUT_RANGES,
    NAMED_RANGES,
    TRAINING_RANGES,
    PhantomParameters,
    draw_parameters,
)


@pytest.fixture(scope="module")
def phantom():
    return generate_phantom(3, 700, 500)


def test_same_arguments_give_the_same_pixels(phantom):
    again = generate_phantom(3, 700, 500)
    assert np.array_equal(again.rgb, phantom.rgb)
    assert np.array_equal(again.labels, phantom.labels)
    other = generate_phantom(4, 700, 500)
    assert (other.labels != phantom.labels).mean() > 0.2


def test_shapes_and_dtypes(phantom):
    assert phantom.rgb.shape == (500, 700, 3)
    assert phantom.labels.shape == (500, 700)
    assert phantom.rgb.dtype == phantom.labels.dtype == np.uint8
    assert phantom.mpp == 1.0


def test_all_eight_labels_occur_and_no_other():
    seen = np.zeros(256, np.int64)
    for seed in range(3):
        seen += np.bincount(generate_phantom(seed, 900, 900).labels.ravel(), minlength=256)
    assert (seen[:8] > 2000).all(), seen[:8]
    assert not seen[8:].any()


def test_colours_are_those_of_the_stains(phantom):
    """Epithelium is bluish and dark, collagen pink, glass and fat near white."""
    mean = {label: phantom.rgb[phantom.labels == label].mean(axis=0) for label in np.unique(phantom.labels)}
    assert mean[1][2] > mean[1][0] > mean[1][1]
    assert mean[3][0] > mean[3][2] > mean[3][1]
    assert mean[0].min() > 210
    assert mean[1].mean() < mean[3].mean() - 40


def test_another_mpp_draws_the_same_scene():
    parameters = draw_parameters(np.random.default_rng(0), TRAINING_RANGES)
    coarse = generate_phantom(5, 300, 260, 1.0, parameters=parameters)
    fine = generate_phantom(5, 600, 520, 0.5, parameters=parameters)
    assert fine.labels.shape == (520, 600)
    agree = (fine.labels[1::2, 1::2] == coarse.labels).mean()
    assert agree > 0.93, agree
    halved = fine.rgb.reshape(260, 2, 300, 2, 3).mean(axis=(1, 3))
    same = ndimage.gaussian_filter(halved, (4, 4, 0)) - ndimage.gaussian_filter(
        coarse.rgb.astype(float), (4, 4, 0)
    )
    assert np.abs(same).mean() < 8


def median_stromal_nucleus_um2(mpp):
    side_px = round(800 / mpp)
    phantom = generate_phantom(11, side_px, side_px, mpp)
    dark = (phantom.rgb[..., 0] < 120) & np.isin(phantom.labels, (3, 4))
    parts, count = ndimage.label(dark)
    areas = ndimage.sum_labels(dark, parts, np.arange(1, count + 1)) * mpp**2
    areas = areas[areas > 8]
    assert len(areas) > 100
    return np.median(areas)


def test_nuclei_have_their_size_in_micrometres_at_any_mpp():
    coarse, fine = median_stromal_nucleus_um2(1.0), median_stromal_nucleus_um2(0.5)
    assert 15 < coarse < 70
    assert fine == pytest.approx(coarse, rel=0.4)


def test_an_island_has_glass_around_it():
    phantom = generate_phantom(6, 500, 500, outline="island")
    edge = np.concatenate(
        [phantom.labels[0], phantom.labels[-1], phantom.labels[:, 0], phantom.labels[:, -1]]
    )
    assert not edge.any()
    assert np.median(phantom.rgb[:4]) > 230
    assert (phantom.labels > 0).mean() > 0.3


def test_range_tables_are_complete_and_disjoint_where_they_must_be():
    names = {field.name for field in dataclasses.fields(PhantomParameters)}
    assert set(TRAINING_RANGES) == set(HELD_OUT_RANGES) == names
    for name in names - {"fat"}:
        low, high = TRAINING_RANGES[name]
        held_low, held_high = HELD_OUT_RANGES[name]
        assert held_low > high or held_high < low, name


@pytest.mark.parametrize("which", sorted(NAMED_RANGES))
def test_parameters_lie_in_their_ranges(which):
    ranges = NAMED_RANGES[which]
    drawn = generate_phantom(1, 200, 200, ranges=ranges).parameters
    for name, (low, high) in ranges.items():
        assert low <= getattr(drawn, name) <= high


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"glow": (0, 1)}, "unknown phantom parameter 'glow'"),
        ({"gamma": (2.0, 1.0)}, "low end must come first"),
    ],
)
def test_wrong_ranges_are_refused(change, what):
    with pytest.raises(UsageError, match=what):
        draw_parameters(np.random.default_rng(0), {**TRAINING_RANGES, **change})


def test_missing_range_is_refused():
    short = {name: span for name, span in TRAINING_RANGES.items() if name != "gamma"}
    with pytest.raises(UsageError, match="lack 'gamma'"):
        draw_parameters(np.random.default_rng(0), short)


@pytest.mark.parametrize(
    ("width_px", "height_px", "mpp", "what"),
    [(300, 300, 0.01, "expected 0.2 to 4"), (20, 300, 1.0, "64 um or more"), (9000, 9000, 0.5, "at most")],
)
def test_sizes_that_cannot_be_drawn_are_refused(width_px, height_px, mpp, what):
    with pytest.raises(UsageError, match=what):
        generate_phantom(0, width_px, height_px, mpp)


def test_smallest_phantom_is_drawn():
    assert generate_phantom(0, 64, 64).rgb.shape == (64, 64, 3)
