"""Patches of slides: labels on their pixels, at their resolution, balanced as asked."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.datasets.labelled_area import OPEN_AT_ONCE, OpenCases, survey
from wsiseg.datasets.slide_patches import SlidePatches
from wsiseg.datasets.slide_regions import MARGIN_PX, WINDOW_PX, SlideRegions
from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region
from wsiseg.slides.array import ArraySlide

CLASSES = ClassMap(
    classes=tuple(LabelClass(id=at, name=f"kind {at}", colour=(at, at, at)) for at in (0, 3, 5))
)


class HalfUnreadable(ArraySlide):
    """The left half of whatever is read could not be decoded."""

    def read_region_masked(self, level, region, by=1):
        pixels, missing = super().read_region_masked(level, region, by)
        missing = missing.copy()
        missing[:, : region.width // 2] = True
        return pixels, missing


class DrawnCase:
    """Red is the column and green the row, in fours; class 3 left and 5 right of 700, 0 on top."""

    def __init__(self, name="drawn", width=1000, height=600, unreadable=False):
        self.name, self.width, self.height, self.unreadable = name, width, height, unreadable

    @property
    def group(self):
        return self.name

    def open(self):
        rows, columns = np.mgrid[: self.height, : self.width]
        rgb = np.stack([columns // 4, rows // 4, np.full_like(rows, 7)], axis=-1).astype(np.uint8)
        kind = HalfUnreadable if self.unreadable else ArraySlide
        return kind(rgb, name=self.name, mpp=(0.5, 0.5))

    def truth(self, x, y):
        labels = np.where(x < 700, 3, 5)
        labels = np.where(y < 60, 0, labels)
        labels = np.where((y >= 60) & (y < 100), 255, labels)
        inside = (x >= 0) & (y >= 0) & (x < self.width) & (y < self.height)
        return np.where(inside, labels, 255).astype(np.uint8)

    def labels(self, region, factor_l0):
        x = (np.arange(region.x, region.right) + 0.5) * factor_l0[0]
        y = (np.arange(region.y, region.bottom) + 0.5) * factor_l0[1]
        return self.truth(x[None, :], y[:, None])


def patches(cases=None, factors=((1.0, 1.0),), **changes):
    cases = cases or [DrawnCase()]
    options = {
        "patch_px": 64,
        "per_epoch": 60,
        "stride_px": None,
        "balance": "class",
        "seed": 3,
        "augmentation": None,
        **changes,
    }
    return SlidePatches(cases, [factors] * len(cases), CLASSES, **options)


@pytest.mark.parametrize("factors", [((1.0, 1.0),), ((2.0, 2.0),), ((1.0, 1.0), (3.0, 3.0))])
def test_labels_lie_on_their_pixels_at_every_resolution(factors):
    data = patches(factors=factors)
    steps = set()
    for index in range(20):
        rgb, labels = data[index]
        assert rgb.shape == (3, 64, 64)
        assert rgb.dtype == labels.dtype == torch.uint8
        known = labels.numpy() != 255
        x, y = rgb[0].numpy() * 4.0, rgb[1].numpy() * 4.0
        assert set(np.unique(labels.numpy()[known & (x < 690) & (y > 110)])) <= {3}
        assert set(np.unique(labels.numpy()[known & (x > 710) & (y > 110)])) <= {5}
        assert set(np.unique(labels.numpy()[known & (y < 50)])) <= {0}
        inner = x[20, 10:50][known[20, 10:50]]
        if len(inner) == 40:
            steps.add(round((inner[-1] - inner[0]) / 39))
    assert steps == {int(factor[0]) for factor in factors}


def test_every_patch_has_something_labelled():
    data = patches(balance="none")
    assert all(bool((data[index][1] != 255).any()) for index in range(60))


def share_of(data, label):
    """Return the share of patches around a point of this class, by the middle half's most frequent class."""
    middles = [data[index][1][16:48, 16:48].numpy() for index in range(len(data))]
    return np.mean([np.bincount(middle.ravel(), minlength=256)[:254].argmax() == label for middle in middles])


def test_balance_of_classes_finds_the_rare_one():
    """Class 0 has a tenth of the area, and a third of the points."""
    assert share_of(patches(balance="none", per_epoch=120), 0) < 0.2
    assert 0.2 < share_of(patches(balance="class", per_epoch=120), 0) < 0.5


@pytest.mark.parametrize(("balance", "low", "high"), [("none", 0.0, 0.2), ("region", 0.3, 0.7)])
def test_balance_of_regions_takes_small_slides_as_often(balance, low, high):
    cases = [DrawnCase("large"), DrawnCase("small", 200, 200)]
    data = patches(cases, balance=balance, per_epoch=100)
    small = np.mean([data.describe(index).startswith("small at") for index in range(100)])
    assert low <= small <= high


def test_frequencies_are_areas():
    found = patches().class_frequencies()
    area = np.array([60 * 1000, 500 * 700, 500 * 300])
    assert found == pytest.approx(area / area.sum(), abs=0.02)


def test_a_grid_covers_all_that_is_labelled():
    data = patches(stride_px=64)
    seen = np.zeros((600, 1000), bool)
    for index in range(len(data)):
        number, factor, region = data._place(index, np.random.default_rng(0))
        assert (number, factor) == (0, (1.0, 1.0))
        assert (region.x % 64, region.y % 64) == (0, 0)
        seen[max(0, region.y) : region.bottom, max(0, region.x) : region.right] = True
    x, y = np.meshgrid(np.arange(1000) + 0.5, np.arange(600) + 0.5)
    assert seen[DrawnCase().truth(x, y) != 255].all()


def test_a_patch_depends_on_seed_epoch_and_index_alone():
    one, other = patches(), copy.deepcopy(patches())  # with the state that a worker process gets
    one[7]
    for index in (3, 0, 11):
        assert all(torch.equal(a, b) for a, b in zip(one[index], other[index], strict=True))
    other.epoch = 1
    assert not torch.equal(one[3][0], other[3][0])


def test_handles_do_not_travel_and_do_not_pile_up():
    cases = [DrawnCase(f"case {at}") for at in range(OPEN_AT_ONCE + 3)]
    shared = OpenCases(cases)
    for number in range(len(cases)):
        shared.read(number, (1.0, 1.0), Region(0, 0, 8, 8))
    assert len(shared._open) == OPEN_AT_ONCE
    assert len(copy.deepcopy(shared)._open) == 0


def test_what_could_not_be_read_is_ignored_never_background():
    shared = OpenCases([DrawnCase(unreadable=True)])
    _, labels = shared.read(0, (1.0, 1.0), Region(100, 200, 64, 64))
    assert set(np.unique(labels[:, :32])) == {255}
    assert set(np.unique(labels[:, 32:])) == {3}


def test_a_coarse_map_does_not_grow_with_the_slide():
    class Wide(DrawnCase):
        def open(self):
            slide = ArraySlide(np.zeros((1, 1, 3), np.uint8), name="wide")
            level = slide.levels[0]
            slide.levels = (replace(level, width_px=200_000, height_px=100_000),)
            return slide

    case = Wide(width=200_000, height=100_000)
    area = survey(case, CLASSES.ids, (1.0, 1.0))
    assert sum(map(len, area.cells.values())) < 1_100_000
    x, y = area.centre_l0(int(area.cells[3][0]))
    assert case.truth(np.float64(x), np.float64(y)) == 3


def test_labels_that_are_no_class_are_refused():
    with pytest.raises(InputRefusedError, match="drawn: is labelled 5, which is no class"):
        survey(DrawnCase(), (0, 3), (1.0, 1.0))
    with pytest.raises(InputRefusedError, match="nothing in it is labelled"):
        survey(Unlabelled(), (3,), (1.0, 1.0))


class Unlabelled(DrawnCase):
    def labels(self, region, factor_l0):
        return np.full(region.shape, 255, np.uint8)


def test_validation_windows_have_every_labelled_pixel_once():
    case = DrawnCase(width=2500, height=1500)
    regions = SlideRegions([case], [(1.0, 1.0)], CLASSES)
    assert len(regions) == 6  # 3 x 2 windows of 1024 px
    counts = np.zeros(256, np.int64)
    for index in range(len(regions)):
        sample = regions[index]
        assert sample.labels.shape == (WINDOW_PX + 2 * MARGIN_PX,) * 2
        assert (sample.labels[:MARGIN_PX] == 255).all()
        counts += np.bincount(sample.labels.ravel(), minlength=256)
    x, y = np.meshgrid(np.arange(2500) + 0.5, np.arange(1500) + 0.5)
    expected = np.bincount(case.truth(x, y).ravel(), minlength=256)
    assert counts[[0, 3, 5]].tolist() == expected[[0, 3, 5]].tolist()
