"""Breast regions as raw files: pixels and labels as in the PNGs, at any factor, decoded once."""

import numpy as np
import pytest
from PIL import Image

from wsiseg.config import RegionsData
from wsiseg.datasets.breast_regions import open_regions
from wsiseg.datasets.region_files import decode_regions
from wsiseg.errors import InputRefusedError
from wsiseg.geometry import Region

ROWS, COLUMNS = 90, 130


@pytest.fixture
def root(tmp_path):
    random = np.random.default_rng(4)
    for name in ("p1_a", "p2_b"):
        rgb = random.integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
        labels = random.integers(0, 8, (ROWS, COLUMNS, 1), np.uint8).repeat(3, 2)
        Image.fromarray(rgb).save(tmp_path / f"{name}.png")
        Image.fromarray(labels).save(tmp_path / f"{name}_label.png")
    (tmp_path / "regions.txt").write_text("p1_a.png, p1_a_label.png, 2\np2_b.png, p2_b_label.png, 4\n")
    return tmp_path


def decoded(root, folder="raw"):
    regions = open_regions(RegionsData(dataset="breast-regions", root=root, patient_until="_"))
    return decode_regions(regions, root / folder)


def test_pixels_and_labels_are_those_of_the_pngs(root):
    first, second = decoded(root)
    assert [first.group, second.group] == ["p1", "p2"]
    with second.open() as slide:
        pixels = slide.read_region(0, Region(10, 20, 50, 40))
    assert np.array_equal(pixels, np.asarray(Image.open(root / "p2_b.png"))[20:60, 10:60])
    truth = np.asarray(Image.open(root / "p2_b_label.png"))[..., 0]
    assert np.array_equal(second.labels(Region(0, 0, COLUMNS, ROWS), (1.0, 1.0)), truth)


def test_labels_of_a_coarser_frame_are_the_nearest_pixels_and_255_beyond(root):
    region = Region(-2, 3, 40, 30)
    found = decoded(root)[0].labels(region, (4.0, 4.0))
    truth = np.asarray(Image.open(root / "p1_a_label.png"))[..., 0]
    expected = np.full((30, 40), 255, np.uint8)
    for row in range(30):
        for column in range(40):
            y, x = int((3 + row + 0.5) * 4), int(np.floor((-2 + column + 0.5) * 4))
            if 0 <= x < COLUMNS and 0 <= y < ROWS:
                expected[row, column] = truth[y, x]
    assert np.array_equal(found, expected)
    assert (found == 255).any()
    assert (found != 255).any()


def test_decoded_once_and_again_when_the_file_changes(root):
    decoded(root)
    files = {file: file.stat().st_mtime_ns for file in (root / "raw").iterdir()}
    decoded(root)
    assert {file: file.stat().st_mtime_ns for file in (root / "raw").iterdir()} == files
    Image.fromarray(np.full((ROWS, COLUMNS, 3), 7, np.uint8)).save(root / "p1_a.png")
    with decoded(root)[0].open() as slide:
        assert (slide.read_region(0, Region(0, 0, 9, 9)) == 7).all()


def test_sizes_that_differ_and_strange_labels_are_refused(root):
    Image.fromarray(np.zeros((ROWS, 9, 3), np.uint8)).save(root / "p1_a_label.png")
    with pytest.raises(InputRefusedError, match=r"is 130 x 90 px, its labels are 9 x 90: expected one size"):
        decoded(root)
    Image.fromarray(np.full((ROWS, COLUMNS, 3), 99, np.uint8)).save(root / "p1_a_label.png")
    with pytest.raises(InputRefusedError, match="holds the value 99"):
        decoded(root)
    assert not list((root / "raw").glob("*.raw.partial"))
