"""Patches: the same for the same seed, labels that turn with their picture, phantoms drawn once."""

import numpy as np
import pytest
import torch

from wsiseg.datasets.augment import Augment, augment, recolour, turn
from wsiseg.datasets.phantom import PatchDataset, PhantomSet, cached, draw, fingerprint
from wsiseg.errors import UsageError


@pytest.fixture
def stacks():
    """Two pictures in which red is the row, green the column, and the label their sum, cut to a byte."""
    rows, columns = np.mgrid[:80, :100].astype(np.uint8)
    rgb = np.stack([rows, columns, np.full_like(rows, 200)], axis=-1)
    return np.stack([rgb, rgb]), np.stack([rows + columns, rows + columns])


def dataset(stacks, augmentation=None, **changes):
    options = {"side_px": 32, "per_epoch": 12, "seed": 5, **changes}
    return PatchDataset(*stacks, augmentation=augmentation, **options)


def test_a_patch_depends_on_seed_epoch_and_index_alone(stacks):
    one, other = dataset(stacks, Augment()), dataset(stacks, Augment())
    for index in (3, 0, 11):
        assert all(torch.equal(a, b) for a, b in zip(one[index], other[index], strict=True))
    other.epoch = 1
    assert not torch.equal(one[3][0], other[3][0])
    assert not torch.equal(one[3][0], one[4][0])


def test_patches_are_cut_from_picture_and_labels_alike(stacks):
    for index in range(12):
        rgb, labels = dataset(stacks)[index]
        assert rgb.shape == (3, 32, 32)
        assert rgb.dtype == labels.dtype == torch.uint8
        assert torch.equal(rgb[0] + rgb[1], labels)


def test_several_scales_cut_larger_and_smaller_windows(stacks):
    """Red is the row: a patch cut `scale` times as large spans that many more rows. Labels are not mixed."""
    data = dataset(stacks, scales=(0.5, 1.0, 2.0))
    spans = set()
    for index in range(12):
        rgb, labels = data[index]
        assert rgb.shape == (3, 32, 32)
        span = int(rgb[0].max()) - int(rgb[0].min())
        spans.add(min((16, 32, 64), key=lambda side: abs(side - span)))
        expected = rgb[0].int() + rgb[1].int()
        assert int((labels.int() - expected).abs().max()) <= 3
    assert spans == {16, 32, 64}
    with pytest.raises(UsageError, match="patches of 96 px from pictures of 80 px"):
        dataset(stacks, scales=(1.0, 3.0))


def test_turning_really_turns_and_keeps_labels_in_place(stacks):
    """All eight poses occur, and each moves the labels exactly as it moves the picture."""
    rgb, labels = stacks[0][0][:32, :32], stacks[1][0][:32, :32]
    poses = set()
    for seed in range(200):
        turned, turned_labels = turn(rgb, labels, np.random.default_rng(seed))
        assert np.array_equal(turned[..., 0] + turned[..., 1], turned_labels)
        poses.add(turned.tobytes())
    assert len(poses) == 8


def test_recolouring_changes_colours_but_not_the_scene():
    rng = np.random.default_rng(0)
    rgb = rng.integers(60, 220, (24, 24, 3), dtype=np.uint8)
    changed = recolour(rgb, Augment(), np.random.default_rng(1))
    assert changed.dtype == np.uint8
    assert changed.shape == rgb.shape
    assert np.abs(changed.astype(int) - rgb).mean() > 2
    assert np.corrcoef(changed.mean(axis=2).ravel(), rgb.mean(axis=2).ravel())[0, 1] > 0.5


def test_no_strength_is_no_change():
    nothing = Augment(stain_scale=0, stain_shift=0, channel_scale=0, gamma=0, blur_px=0, noise=0)
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.abs(recolour(rgb, nothing, np.random.default_rng(0)).astype(int) - rgb).max() <= 1


def test_stain_scale_acts_in_optical_density():
    """With haematoxylin, eosin and the rest all scaled by one factor, densities scale by it."""
    rgb = np.full((8, 8, 3), 120, np.uint8)

    class Largest:
        def uniform(self, low, high, size=None):
            return high if size is None else np.full(size, high)

        def integers(self, _):
            return 0

    how = Augment(stain_scale=0.5, stain_shift=0, channel_scale=0, gamma=0)
    changed = recolour(rgb, how, Largest())
    assert changed[0, 0, 0] == pytest.approx(256 * (121 / 256) ** 1.5 - 1, abs=1)


def test_labels_are_never_interpolated():
    labels = np.random.default_rng(0).choice(np.array([0, 3, 7, 255], np.uint8), (32, 32))
    rgb = np.zeros((32, 32, 3), np.uint8)
    for seed in range(10):
        _, turned = augment(rgb, labels, Augment(), np.random.default_rng(seed))
        assert np.array_equal(
            np.bincount(turned.ravel(), minlength=256), np.bincount(labels.ravel(), minlength=256)
        )


def test_patches_larger_than_pictures_are_refused(stacks):
    with pytest.raises(UsageError, match="take smaller patches"):
        dataset(stacks, side_px=96)
    with pytest.raises(UsageError, match="expected as many"):
        PatchDataset(stacks[0], stacks[1][:1], side_px=8, per_epoch=1, seed=0, augmentation=None)


SMALL = PhantomSet(ranges="training", first_seed=40, count=3, side_px=128, fine_every=2, island_every=3)


def test_phantoms_are_drawn_once_and_found_again(tmp_path):
    rgb, labels = cached(SMALL, tmp_path)
    assert rgb.shape == (3, 128, 128, 3)
    assert labels.shape == (3, 128, 128)
    for index in range(3):
        picture, truth = draw(SMALL, index)
        assert np.array_equal(rgb[index], picture)
        assert np.array_equal(labels[index], truth)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    cached(SMALL, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_an_unfinished_set_is_drawn_again(tmp_path):
    cached(SMALL, tmp_path)
    (record,) = tmp_path.glob("*.json")
    record.unlink()
    (pixels,) = tmp_path.glob("*.rgb.npy")
    pixels.write_bytes(b"half")
    rgb, _ = cached(SMALL, tmp_path)
    assert np.array_equal(rgb[1], draw(SMALL, 1)[0])


def test_sets_that_differ_have_another_fingerprint():
    other = PhantomSet(ranges="held-out", first_seed=40, count=3, side_px=128, fine_every=2, island_every=3)
    assert fingerprint(SMALL) != fingerprint(other)
    assert fingerprint(SMALL) == fingerprint(SMALL)
