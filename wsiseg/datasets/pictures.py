"""Labelled pictures as a torch Dataset, and reading a picture or a label image from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from wsiseg.class_map import NOT_ANALYSED, ClassMap
from wsiseg.errors import InputRefusedError

MAX_PICTURE_PX = 64_000_000
"""Pixels of the largest picture: the network sees it in one piece."""

REFUSED = -1
"""Entry of a value table for a value that may not stand in a label image."""

Values = NDArray[np.int16]
"""(256,): what a value of a label image means, a label id, 255 (ignored) or REFUSED."""


class Sample(NamedTuple):
    """One picture and its truth."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3)."""
    labels: NDArray[np.uint8]
    """(rows, columns) label ids; 255 is ignored, and everything is 255 where no truth is published."""
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """Where one picture and its label image are."""

    name: str
    image: Path
    labels: Path | None
    """None where no truth is published."""


@dataclass(frozen=True, eq=False)
class PictureSet(Dataset[Sample]):
    """The pictures of one split, in the order of their list or names; read when asked for."""

    dataset: str
    """Key of `wsiseg.datasets.catalogue.DATASETS`."""
    split: str
    items: tuple[Item, ...]
    classes: ClassMap
    """What the label ids mean."""
    values: Values
    """From the label images' values to label ids."""
    categories: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Groups of label ids that are scored too; empty: none."""
    merged: Mapping[str, int] = field(default_factory=dict)
    """Further class names of a model, and the label id that they are counted as."""
    official_count: int | None = None
    """Pictures in the complete split; None: unknown."""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        """Read one picture. Raises InputRefusedError for a file that does not hold what it should."""
        item = self.items[index]
        rgb = read_rgb(item.image)
        if item.labels is None:
            return Sample(rgb, np.full(rgb.shape[:2], NOT_ANALYSED, np.uint8), item.name)
        labels = apply_values(read_values(item.labels), self.values, item.labels)
        if labels.shape != rgb.shape[:2]:
            raise InputRefusedError(
                f"{item.image}: is {rgb.shape[1]} x {rgb.shape[0]} px, its labels are {labels.shape[1]} x "
                f"{labels.shape[0]}: expected one size"
            )
        return Sample(rgb, labels, item.name)

    @property
    def has_truth(self) -> bool:
        """Whether there is anything to compare with."""
        return any(item.labels is not None for item in self.items)


def value_table(mapping: Mapping[int, int], *, ignored: tuple[int, ...] = (NOT_ANALYSED,)) -> Values:
    """Return the table of a mapping from values to label ids; values not named are refused."""
    table = np.full(256, REFUSED, np.int16)
    table[list(ignored)] = NOT_ANALYSED
    for value, label in mapping.items():
        table[value] = label
    return table


def apply_values(values: NDArray[np.uint8], table: Values, path: Path) -> NDArray[np.uint8]:
    """Return label ids. Raises InputRefusedError with the first value that may not be there."""
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    strange = [int(value) for value in present if table[value] == REFUSED]
    if strange:
        count = int((values == strange[0]).sum())
        raise InputRefusedError(
            f"{path}: holds the value {strange[0]} ({count} px), which is no label of this data set; "
            "are these the right label images?"
        )
    return np.asarray(table[values].astype(np.uint8))


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return a PNG or JPEG as (rows, columns, 3) uint8; grey becomes RGB, transparency is dropped."""
    return _read(path, "a picture", lambda image: np.asarray(image.convert("RGB")))


def read_values(path: Path) -> NDArray[np.uint8]:
    """Return a label image's values (rows, columns) uint8: grey, palette indices, or three equal channels."""
    return _read(path, "a label image", lambda image: _values(image, path))


def _values(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode not in ("L", "P", "RGB"):
        raise InputRefusedError(
            f"{path}: has pixels of kind {image.mode}: expected ids as 8-bit grey or palette; "
            "instance and colour images are no label images"
        )
    pixels = np.asarray(image)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise InputRefusedError(
                f"{path}: is a colour picture: expected label ids as grey or palette values; "
                "use the label images, not the coloured ones"
            )
        pixels = pixels[..., 0]
    return np.asarray(pixels, np.uint8)


def _read(path: Path, what: str, decode: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PICTURE_PX:
                raise InputRefusedError(
                    f"{path}: {image.width} x {image.height} px: expected at most {MAX_PICTURE_PX // 10**6} "
                    "megapixels; cut it into pieces"
                )
            return decode(image)
    except InputRefusedError:
        raise
    except FileNotFoundError as error:
        raise InputRefusedError(f"{path}: is gone; it was there when the data set was opened") from error
    except Exception as error:  # damaged PNG and JPEG raise anything
        raise InputRefusedError(
            f"{path}: cannot be read as {what} ({type(error).__name__}): expected a whole PNG or JPEG"
        ) from error
