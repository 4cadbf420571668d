"""Training and validation: split by patient, and nothing on both sides whatever it is called."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from wsiseg.datasets.apart import check_apart, split_by_group
from wsiseg.errors import UsageError
from wsiseg.slides import open_slide


@dataclass(frozen=True)
class Case:
    name: str
    group: str
    path: Path | None = None

    def open(self):
        return open_slide(self.path)


def slide_file(path, seed, **options):
    rgb = np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8)
    tifffile.imwrite(path, rgb, tile=(128, 128), photometric="rgb", **options)
    return path


def cases(count, per_patient=2):
    return [Case(f"slide {number}", f"patient {number // per_patient}") for number in range(count)]


@pytest.mark.parametrize(("share", "expected"), [(0.2, 2), (0.01, 1), (0.99, 9), (0.5, 5)])
def test_whole_patients_go_to_one_side(share, expected):
    training, validation = split_by_group(cases(20), share, seed=1)
    assert len(training) + len(validation) == 20
    sides = [{case.group for case in side} for side in (training, validation)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == expected


def test_the_split_depends_on_seed_and_names_alone():
    listed = cases(20)
    first = {case.group for case in split_by_group(listed, 0.3, seed=1)[1]}
    again = {case.group for case in split_by_group(listed[::-1], 0.3, seed=1)[1]}
    other = [{case.group for case in split_by_group(listed, 0.3, seed=seed)[1]} for seed in range(2, 8)]
    assert first == again
    assert any(found != first for found in other)


def test_one_patient_cannot_be_split():
    with pytest.raises(UsageError, match="2 cases of 1 patient: a split needs two"):
        split_by_group(cases(2), 0.5, seed=1)


def test_a_patient_on_both_sides_is_refused(tmp_path):
    first = Case("a", "p1", slide_file(tmp_path / "a.tif", 1))
    second = Case("b", "p1", slide_file(tmp_path / "b.tif", 2))
    with pytest.raises(UsageError, match="b: patient or slide 'p1' is in training and in validation"):
        check_apart([first], [second])


def test_a_renamed_copy_is_refused(tmp_path):
    path = slide_file(tmp_path / "a.tif", 1)
    copy = Path(shutil.copy(path, tmp_path / "renamed.tif"))
    with pytest.raises(UsageError, match=r"renamed \(validation\) and a \(training\) are one slide"):
        check_apart([Case("a", "p1", path)], [Case("renamed", "p2", copy)])


def test_another_container_of_the_same_pixels_is_refused(tmp_path):
    first = Case("a", "p1", slide_file(tmp_path / "a.tif", 1))
    second = Case("b", "p2", slide_file(tmp_path / "b.tif", 1, compression="zlib", bigtiff=True))
    with pytest.raises(UsageError, match="are one slide"):
        check_apart([first], [second])


def test_different_slides_pass(tmp_path):
    first = Case("a", "p1", slide_file(tmp_path / "a.tif", 1))
    second = Case("b", "p2", slide_file(tmp_path / "b.tif", 2))
    check_apart([first], [second])
    check_apart([first], [])
