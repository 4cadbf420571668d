"""Patches of pictures: labels stay on their pixels, left-right really is, every picture at every size."""

import numpy as np
import official_layouts as made
import pytest
import torch
from PIL import Image

from wsiseg.datasets.cityscapes import open_cityscapes
from wsiseg.datasets.image_folder import open_image_folder
from wsiseg.datasets.picture_patches import PicturePatches, check_apart
from wsiseg.errors import InputRefusedError, UsageError

CLASSES = """classes:
- {id: 0, name: left, colour: [0, 0, 0]}
- {id: 1, name: right, colour: [9, 9, 9]}
- {id: 2, name: top, colour: [99, 9, 9]}
"""


@pytest.fixture
def folder(tmp_path):
    """One picture whose colour says where it is: red the column, green the row; and so do labels."""
    rows, columns = np.mgrid[:96, :128]
    rgb = np.stack([columns * 2, rows * 2, np.full_like(rows, 50)], axis=-1).astype(np.uint8)
    labels = (columns >= 64).astype(np.uint8)
    labels[:24] = 2
    labels[24:30] = 255
    for name, array in (("images/a.png", rgb), ("masks/a.png", labels)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(tmp_path / name)
    (tmp_path / "classes.yaml").write_text(CLASSES)
    return open_image_folder(tmp_path)


def patches(pictures, **changes):
    options = {"sizes_px": [(64, 48)], "smallest_crop": 1.0, "flip": True, "seed": 3, **changes}
    return PicturePatches(pictures, **options)


def poses(data, epochs):
    """Return whether red grows to the right and green downwards, for each epoch of patch 0."""
    found = []
    for data.epoch in range(epochs):
        rgb, labels = data[0]
        red, green = rgb[0].int(), rgb[1].int()
        rightwards, downwards = bool(red[20, -1] > red[20, 0]), bool(green[-1, 5] > green[0, 5])
        at_right = labels[-1, -1] if rightwards else labels[-1, 0]
        assert int(at_right) == 1  # the label went with its pixels
        found.append((rightwards, downwards))
    return found


def test_left_right_flips_flip_left_right_and_nothing_else(folder):
    assert set(poses(patches(folder), 20)) == {(True, True), (False, True)}
    assert set(poses(patches(folder, flip=False), 5)) == {(True, True)}


def test_windows_have_labels_where_their_pixels_are(folder):
    data = patches(folder, smallest_crop=0.4, sizes_px=[(64, 48)])
    shares = []
    for data.epoch in range(20):
        rgb, labels = data[0]
        assert rgb.shape == (3, 48, 64)
        assert rgb.dtype == labels.dtype == torch.uint8
        column, row = rgb[0].numpy().astype(int) / 2, rgb[1].numpy().astype(int) / 2
        sure = labels.numpy() != 255
        assert set(np.unique(labels.numpy()[(row < 22) & sure])) <= {2}
        below = (row > 32) & sure
        assert set(np.unique(labels.numpy()[below & (column < 62)])) <= {0}
        assert set(np.unique(labels.numpy()[below & (column > 66)])) <= {1}
        shares.append(float(np.ptp(column)) / 127)
    assert min(shares) < 0.6 < 0.8 < max(shares)


def test_an_epoch_has_every_picture_at_every_size(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path, "train"), "train")
    data = patches(pictures, sizes_px=[(64, 32), (32, 16)])
    assert len(data) == 6
    for group, shape in zip(data.groups(), [(32, 64), (16, 32)], strict=True):
        assert {tuple(data[index][1].shape) for index in group} == {shape}
        assert {data.describe(index) for index in group} == {item.name for item in pictures.items}


def test_a_patch_depends_on_seed_epoch_and_index_alone(folder):
    one, other = patches(folder, smallest_crop=0.5), patches(folder, smallest_crop=0.5)
    assert all(torch.equal(a, b) for a, b in zip(one[0], other[0], strict=True))
    other.epoch = 1
    assert not torch.equal(one[0][0], other[0][0])


def test_frequencies_are_those_of_the_label_images(folder):
    labels = np.asarray(Image.open(folder.items[0].labels))
    labelled = (labels != 255).sum()
    expected = [(labels == at).sum() / labelled for at in range(3)]
    assert patches(folder).class_frequencies() == pytest.approx(expected)


def test_what_cannot_be_learnt_from_is_refused(tmp_path, folder):
    with pytest.raises(InputRefusedError, match="nothing to train on"):
        patches(open_cityscapes(made.cityscapes(tmp_path / "c", "test"), "test"))
    with pytest.raises(UsageError, match=r"is in training and in validation \(1 such pictures\)"):
        check_apart(folder, folder)
