"""Training patches from whole labelled pictures: scaled, cropped and flipped, at one or several sizes.

A patch depends on (seed, epoch, index) alone, so an epoch is the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from wsiseg.datasets.augment import resize_labels, resize_rgb
from wsiseg.datasets.pictures import PictureSet, apply_values, read_values
from wsiseg.errors import InputRefusedError, UsageError


class PicturePatches(Dataset[tuple[Tensor, Tensor]]):
    """(uint8 (3, H, W) RGB, uint8 (H, W) label ids, 255 ignored); an epoch has every picture at every size.

    A random window, between `smallest_crop` and all of the picture along each side, is resized to the size:
    the scaling and cropping of the publications. Windows are mirrored, left to right, half of the time.
    """

    def __init__(
        self,
        pictures: PictureSet,
        *,
        sizes_px: Sequence[tuple[int, int]],
        smallest_crop: float,
        flip: bool,
        seed: int,
    ) -> None:
        if not len(pictures):
            raise UsageError(f"{pictures.dataset} {pictures.split}: no pictures to train on")
        if not pictures.has_truth:
            raise InputRefusedError(
                f"{pictures.dataset} {pictures.split}: its labels are not published: nothing to train on; "
                "take another split"
            )
        self._pictures, self._sizes_px = pictures, tuple(sizes_px)
        self._smallest_crop, self._flip, self._seed = smallest_crop, flip, seed
        self.epoch = 0
        """Another epoch cuts other windows."""

    def __len__(self) -> int:
        return len(self._pictures) * len(self._sizes_px)

    def groups(self) -> list[range]:
        """Return the indices of each size: a batch has one size."""
        count = len(self._pictures)
        return [range(at * count, (at + 1) * count) for at in range(len(self._sizes_px))]

    def describe(self, index: int) -> str:
        """Return what patch `index` is cut from."""
        return self._pictures.items[index % len(self._pictures)].name

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        width, height = self._sizes_px[index // len(self._pictures)]
        rng = np.random.default_rng((self._seed, self.epoch, index))
        rgb, labels, _ = self._pictures[index % len(self._pictures)]
        window = self._window(labels.shape[0], labels.shape[1], rng)
        rgb, labels = resize_rgb(rgb[window], width, height), resize_labels(labels[window], width, height)
        if self._flip and rng.integers(2):
            rgb, labels = rgb[:, ::-1], labels[:, ::-1]
        return (
            torch.from_numpy(np.array(rgb.transpose(2, 0, 1), order="C")),
            torch.from_numpy(np.array(labels, order="C")),
        )

    def _window(self, rows: int, columns: int, rng: np.random.Generator) -> tuple[slice, slice]:
        share = float(rng.uniform(self._smallest_crop, 1.0))
        high, wide = max(1, round(rows * share)), max(1, round(columns * share))
        top, left = int(rng.integers(rows - high + 1)), int(rng.integers(columns - wide + 1))
        return slice(top, top + high), slice(left, left + wide)

    def class_frequencies(self) -> NDArray[np.float64]:
        """Return each class's share of the labelled pixels of all pictures, in the classes' order.

        Raises UsageError where no pixel is labelled with any class.
        """
        pictures = self._pictures

        def count(index: int) -> NDArray[np.int64]:
            path = pictures.items[index].labels
            if path is None:
                return np.zeros(256, np.int64)
            labels = apply_values(read_values(path), pictures.values, path)
            return np.asarray(np.bincount(labels.ravel(), minlength=256))

        with ThreadPoolExecutor(4) as pool:
            counts = sum(pool.map(count, range(len(pictures))), np.zeros(256, np.int64))
        chosen = np.asarray(counts)[list(pictures.classes.ids)]
        if not chosen.sum():
            raise UsageError(f"{pictures.dataset}: no pixel is labelled with any class: nothing to train on")
        return np.asarray(chosen / chosen.sum())


def check_apart(training: PictureSet, validation: PictureSet) -> None:
    """Raise UsageError where a picture is on both sides."""
    known = {item.image.resolve() for item in training.items}
    both = [item.image for item in validation.items if item.image.resolve() in known]
    if both:
        raise UsageError(
            f"{both[0]}: is in training and in validation ({len(both)} such pictures): "
            "give other splits, or other folders"
        )
