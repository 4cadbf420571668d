"""Training patches from phantoms: pictures drawn once into memory-mapped files, patches cut at random.

A patch depends on (seed, epoch, index) alone, so an epoch is the same for any number of workers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from wsiseg.datasets.augment import Augment, augment, resize_labels, resize_rgb
from wsiseg.errors import UsageError
from wsiseg.phantom.generate import Outline, generate_phantom
from wsiseg.phantom.parameters import NAMED_RANGES

_NOT_DRAWING = ("__init__", "slide_file", "repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSet:
    """A set of phantoms, by seed."""

    ranges: str
    """A key of `wsiseg.phantom.parameters.NAMED_RANGES`."""
    first_seed: int
    count: int
    side_px: int
    mpp: float = 1.0
    fine_every: int = 4
    """Every n-th phantom is drawn at half the mpp and averaged 2 x 2, as slides are read; 0: none."""
    island_every: int = 5
    """Every n-th phantom has glass around its tissue; 0: none."""

    def describe(self) -> dict[str, object]:
        """Return what the pixels depend on, for a record; the drawing code is the fingerprint's to know."""
        return {**asdict(self), "parameters": {k: list(v) for k, v in NAMED_RANGES[self.ranges].items()}}


def draw(which: PhantomSet, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (rgb (rows, columns, 3), labels (rows, columns)) uint8 of one phantom of a set."""
    fine = which.fine_every > 0 and index % which.fine_every == which.fine_every - 1
    island = which.island_every > 0 and index % which.island_every == which.island_every - 1
    outline: Outline = "island" if island else "full"
    factor = 2 if fine else 1
    phantom = generate_phantom(
        which.first_seed + index,
        which.side_px * factor,
        which.side_px * factor,
        which.mpp / factor,
        ranges=NAMED_RANGES[which.ranges],
        outline=outline,
    )
    if not fine:
        return phantom.rgb, phantom.labels
    side = which.side_px
    mean = phantom.rgb.reshape(side, 2, side, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    return np.floor(mean + 0.5).astype(np.uint8), np.ascontiguousarray(phantom.labels[1::2, 1::2])


def fingerprint(which: PhantomSet) -> str:
    """Return what identifies a set's pixels: its description and the text of the drawing code."""
    digest = sha256(json.dumps(which.describe(), sort_keys=True).encode())
    for path in sorted((Path(__file__).parents[1] / "phantom").glob("*.py")):
        if path.stem in _NOT_DRAWING:
            continue
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cached(which: PhantomSet, folder: Path, workers: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return memory maps (count, side, side, 3) and (count, side, side) of a set, drawing it if need be.

    A set that is already in `folder` is used when its description and the drawing code are the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{which.ranges}-{which.first_seed}-{fingerprint(which)}"
    rgb_path, label_path, done = (folder / f"{stem}.{end}" for end in ("rgb.npy", "labels.npy", "json"))
    if not done.is_file():
        shape = (which.count, which.side_px, which.side_px)
        rgb = np.lib.format.open_memmap(rgb_path, "w+", np.uint8, (*shape, 3))
        labels = np.lib.format.open_memmap(label_path, "w+", np.uint8, shape)
        indices = range(which.count)
        if workers > 1:
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                drawn = pool.map(draw, [which] * which.count, indices)
                for index, (picture, truth) in enumerate(drawn):
                    rgb[index], labels[index] = picture, truth
        else:
            for index in indices:
                rgb[index], labels[index] = draw(which, index)
        rgb.flush()
        labels.flush()
        done.write_text(json.dumps(which.describe(), indent=1), encoding="utf-8")
    return np.load(rgb_path, mmap_mode="r"), np.load(label_path, mmap_mode="r")


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Random patches of pictures: (uint8 (3, side, side) RGB, uint8 (side, side) labels).

    Each is cut `scales` times as large (one of them, at random) and resized to its side.
    """

    def __init__(
        self,
        rgb: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
        labels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
        *,
        side_px: int,
        per_epoch: int,
        seed: int,
        augmentation: Augment | None,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        if len(rgb) != len(labels) or not len(rgb):
            raise UsageError(f"{len(rgb)} pictures and {len(labels)} label maps: expected as many, and some")
        least = min(min(truth.shape) for truth in labels)
        if round(side_px * max(scales)) > least:
            largest = round(side_px * max(scales))
            raise UsageError(f"patches of {largest} px from pictures of {least} px: take smaller patches")
        self._rgb, self._labels = rgb, labels
        self._side_px, self._per_epoch, self._seed = side_px, per_epoch, seed
        self._augmentation = augmentation
        self._scales = tuple(scales)
        self.epoch = 0
        """Another epoch cuts other patches."""

    def __len__(self) -> int:
        return self._per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, self.epoch, index))
        which = int(rng.integers(len(self._rgb)))
        height, width = self._labels[which].shape
        side = self._side_px
        if self._scales != (1.0,):
            side = round(side * self._scales[int(rng.integers(len(self._scales)))])
        top = int(rng.integers(height - side + 1))
        left = int(rng.integers(width - side + 1))
        window = slice(top, top + side), slice(left, left + side)
        rgb = resize_rgb(np.array(self._rgb[which][window]), self._side_px, self._side_px)
        labels = resize_labels(np.array(self._labels[which][window]), self._side_px, self._side_px)
        if self._augmentation is not None:
            rgb, labels = augment(rgb, labels, self._augmentation, rng)
        return (
            torch.from_numpy(np.array(rgb.transpose(2, 0, 1), order="C")),
            torch.from_numpy(np.array(labels, order="C")),
        )
