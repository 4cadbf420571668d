"""A phantom's diagnosis is that of what was drawn."""

import numpy as np
from PIL import Image

from wsiseg.datasets.breast_regions import PHANTOMS
from wsiseg.datasets.phantom_regions import write_phantom_regions
from wsiseg.phantom.diagnosis import DIAGNOSES, diagnosis_of, kinds_against
from wsiseg.phantom.generate import generate_phantom
from wsiseg.phantom.layout import BENIGN_KINDS, MALIGNANT_KINDS, OTHER_KINDS

MALIGNANT_LABEL = 2


def test_the_worst_kind_counts():
    assert diagnosis_of([]) == diagnosis_of([*BENIGN_KINDS, *OTHER_KINDS]) == 1
    assert [diagnosis_of(["duct", kind]) for kind in MALIGNANT_KINDS] == [3, 2, 3, 4, 4]
    assert diagnosis_of(MALIGNANT_KINDS) == 4
    for diagnosis in range(1, len(DIAGNOSES) + 1):
        assert {diagnosis_of([kind]) for kind in set(MALIGNANT_KINDS) - kinds_against(diagnosis)} <= {
            diagnosis
        }


def test_kinds_that_are_left_out_are_not_drawn():
    whole = generate_phantom(8, 300, 300, 2.0)
    assert {"cribriform", "solid"} & whole.kinds
    benign = generate_phantom(8, 300, 300, 2.0, without=kinds_against(1))
    assert not set(MALIGNANT_KINDS) & benign.kinds
    assert (whole.labels == MALIGNANT_LABEL).any()
    assert not (benign.labels == MALIGNANT_LABEL).any()


def test_lists_say_what_they_are_and_what_was_drawn(tmp_path):
    path = write_phantom_regions(tmp_path, "some", first_seed=7, count=5, side_px=128)
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert first == PHANTOMS
    assert len(lines) == 5
    for line in lines:
        picture, labels, told = (cell.strip() for cell in line.split(","))
        with Image.open(tmp_path / picture) as rgb, Image.open(tmp_path / labels) as truth:
            assert rgb.size == truth.size == (128, 128)
            # Solid nests and the like are malignant epithelium; without them there is none.
            assert (told == "1") <= (not (np.asarray(truth) == MALIGNANT_LABEL).any())
