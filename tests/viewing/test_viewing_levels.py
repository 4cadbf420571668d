"""Levels for viewers: exactly 2x apart, equal to what is stored, damage in sight."""

import numpy as np
import pytest
import tifffile
from resume_child import options_for

from wsiseg import open_slide, segment_slide
from wsiseg.exports.label_store import open_label_store
from wsiseg.geometry import Region
from wsiseg.pyramid.levels import halve_confidence, halve_labels
from wsiseg.run.store_run import UNREAD_HATCH
from wsiseg.viewing.largest_area import largest_area
from wsiseg.viewing.levels import ConfidenceLevels, SlideLevels, StoreLevels


@pytest.fixture(scope="module")
def rgb():
    random = np.random.default_rng(3)
    return random.integers(0, 256, (45, 40, 3), np.uint8).repeat(16, 0).repeat(16, 1)[:715, :633]


def write_slide(path, levels):
    with tifffile.TiffWriter(path) as tiff:
        for number, pixels in enumerate(levels):
            tiff.write(
                pixels,
                tile=(128, 128),
                photometric="rgb",
                compression="zlib",
                subfiletype=1 if number else 0,
                resolution=(20000 / 4**number, 20000 / 4**number),
                resolutionunit=3,
            )
    return path


def mean_of(rgb, factor):
    """The slow and obvious area mean, the background beyond the edges left out."""
    rows, columns = -(-rgb.shape[0] // factor), -(-rgb.shape[1] // factor)
    out = np.empty((rows, columns, 3))
    for row in range(rows):
        for column in range(columns):
            cell = rgb[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            out[row, column] = cell.reshape(-1, 3).mean(0)
    return out


def test_slide_levels_are_exactly_twice_as_coarse(tmp_path, rgb):
    """Rounded sizes (715 / 4, 633 / 4) must not stretch a level: each pixel is the mean of its own area."""
    quarter = mean_of(rgb, 4)[: 715 // 4, : 633 // 4].round().astype(np.uint8)
    with open_slide(write_slide(tmp_path / "two.tif", [rgb, quarter])) as slide:
        levels = SlideLevels(slide)
        assert levels.shapes[:4] == [(715, 633), (358, 317), (179, 159), (90, 80)]
        assert max(levels.shapes[-1]) <= 64
        for level in (0, 1, 2, 3):
            rows, columns = levels.shapes[level]
            inside = Region(0, 0, columns - 2, rows - 2)
            found = levels.read(level, inside).astype(int)
            wanted = mean_of(rgb, 2**level)[: rows - 2, : columns - 2]
            assert np.abs(found - wanted).max() <= 1.01, level


def test_what_cannot_be_read_is_hatched(tmp_path, rgb):
    path = write_slide(tmp_path / "one.tif", [rgb])
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        offset, length = page.dataoffsets[6], page.databytecounts[6]  # row 1, column 1 of 5
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * length)
    with open_slide(path) as slide:
        found = SlideLevels(slide).read(0, Region(100, 100, 300, 300))
    lost = np.zeros((300, 300), bool)
    lost[28:156, 28:156] = True
    stripes = np.array(UNREAD_HATCH)
    is_striped = (found[..., None, :] == stripes).all(-1).any(-1)
    assert is_striped[lost].all()
    assert (found[~lost] == rgb[100:400, 100:400][~lost]).all()


@pytest.fixture(scope="module")
def store(tmp_path_factory, rgb):
    folder = tmp_path_factory.mktemp("result")
    write_slide(folder / "noise.tif", [rgb])
    return open_label_store(segment_slide(folder / "noise.tif", folder, options_for(slide_mpp=None)).store)


def test_store_levels_are_the_stored_ones_and_go_on_by_the_same_vote(store):
    levels = StoreLevels(store)
    labels = store.read(0, Region(0, 0, store.shape(0)[1], store.shape(0)[0]))
    for level, (rows, columns) in enumerate(levels.shapes):
        found = levels.read(level, Region(0, 0, columns, rows))
        assert (found == labels).all(), level
        part = Region(columns // 3, rows // 4, columns // 2, rows // 2)
        assert (levels.read(level, part) == labels[part.slices_in(Region(0, 0, 0, 0))]).all()
        labels = halve_labels(labels)
    assert len(levels.shapes) > len(store.levels)


def test_confidences_go_on_by_the_same_mean(tmp_path, rgb):
    write_slide(tmp_path / "noise.tif", [rgb])
    options = options_for(slide_mpp=None, confidence=True)
    store = open_label_store(segment_slide(tmp_path / "noise.tif", tmp_path, options).store)
    levels = ConfidenceLevels(store)
    values = store.read_confidence(0, Region(0, 0, store.shape(0)[1], store.shape(0)[0]))
    assert values.max() > 2, "the network spoke"
    for level, (rows, columns) in enumerate(levels.shapes):
        assert (levels.read(level, Region(0, 0, columns, rows)) == values).all(), level
        values = halve_confidence(values)
    assert levels.unread == 1
    assert levels.fill == (0,)


class Flat:
    """A pyramid over an array."""

    fill = (255,)

    def __init__(self, labels):
        self.arrays = [labels]
        while max(self.arrays[-1].shape) > 64:
            self.arrays.append(halve_labels(self.arrays[-1]))
        self.shapes = [array.shape for array in self.arrays]

    def read(self, level, region):
        return self.arrays[level][region.slices_in(Region(0, 0, 0, 0))]


def test_the_largest_area_that_hangs_together():
    labels = np.zeros((600, 500), np.uint8)
    labels[10:50, 10:400] = 3  # 15,600 px
    labels[100:230, 20:140] = 3  # 15,600 px and more
    labels[229:300, 20:60] = 3
    labels[400, 400] = 5
    assert largest_area(Flat(labels), 3) == Region(20, 100, 120, 200)
    assert largest_area(Flat(labels), 5) == Region(400, 400, 1, 1)
    assert largest_area(Flat(labels), 7) is None


def test_a_rare_class_is_found_on_a_finer_level(monkeypatch):
    monkeypatch.setattr("wsiseg.viewing.largest_area.SEARCHED_PX", 1000)
    labels = np.zeros((512, 512), np.uint8)
    labels[300, 200] = 5  # every vote drops it
    labels[64:128, 128:192] = 2
    assert largest_area(Flat(labels), 5) == Region(200, 300, 1, 1)
    assert largest_area(Flat(labels), 2) == Region(128, 64, 64, 64)
