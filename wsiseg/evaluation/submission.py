"""Predictions as the benchmark servers of Cityscapes and PASCAL VOC want them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsiseg.datasets.cityscapes_classes import LABEL_IDS
from wsiseg.datasets.pictures import PictureSet
from wsiseg.datasets.voc_classes import VOC, voc_colour
from wsiseg.errors import InputRefusedError, UsageError, choose
from wsiseg.models.checkpoint import write_atomically

CITYSCAPES_PX = (2048, 1024)
"""(width, height) that the server takes."""

Labels = NDArray[np.uint8]


def cityscapes_file(labels: Labels, name: str) -> bytes:
    """Return trainIds (1024, 2048) as a grey PNG of labelIds. Raises InputRefusedError for another size."""
    if labels.shape != CITYSCAPES_PX[::-1]:
        raise InputRefusedError(
            f"{name}: is {labels.shape[1]} x {labels.shape[0]} px; the Cityscapes server takes 2048 x 1024"
        )
    return _png(Image.fromarray(_translated(labels, dict(enumerate(LABEL_IDS)), name)))


def voc_file(labels: Labels, name: str) -> bytes:
    """Return VOC's ids (rows, columns) as a palette PNG in its colour map."""
    image = Image.fromarray(_translated(labels, {label: label for label in VOC.ids}, name))
    image.putpalette([part for value in range(256) for part in voc_colour(value)])
    return _png(image)


def _cityscapes_place(folder: Path, split: str, name: str) -> Path:
    # The evaluation script looks for CITY_SEQUENCE_FRAME*.png.
    return folder / "cityscapes" / split / f"{name}_pred_labelIds.png"


def _voc_place(folder: Path, split: str, name: str) -> Path:
    # comp6: trained on other data than the challenge's own as well.
    return folder / "results" / "VOC2012" / "Segmentation" / f"comp6_{split}_cls" / f"{name}.png"


SUBMISSIONS: dict[str, tuple[Callable[[Labels, str], bytes], Callable[[Path, str, str], Path]]] = {
    "cityscapes": (cityscapes_file, _cityscapes_place),
    "voc": (voc_file, _voc_place),
}
"""Data set -> (file of a prediction, its place under the submission's folder)."""


class SubmissionWriter:
    """Writes one file per picture into a folder that holds nothing else; each whole or not at all."""

    def __init__(self, folder: Path, pictures: PictureSet) -> None:
        if pictures.dataset not in SUBMISSIONS:
            raise UsageError(
                f"submission is true: {choose('server', pictures.dataset, SUBMISSIONS)}; "
                "use submission=false for this data set"
            )
        self.folder = folder
        self.split = pictures.split
        self._encode, self._place = SUBMISSIONS[pictures.dataset]
        self._names = frozenset(item.name for item in pictures.items)

    def prepare(self) -> Path:
        """Make the folder of the files. Raises UsageError where it holds files of other pictures."""
        folder = self._place(self.folder, self.split, "x").parent
        folder.mkdir(parents=True, exist_ok=True)
        ours = {self._place(self.folder, self.split, name).name for name in self._names}
        strange = sorted(path.name for path in folder.iterdir() if path.name not in ours)
        if strange:
            raise UsageError(f"{folder}: holds {strange[0]}, which is not of this split; give another -o")
        return folder

    def write(self, name: str, labels: Labels) -> Path:
        """Write the label ids (rows, columns) of one picture."""
        path = self._place(self.folder, self.split, name)
        write_atomically(path, self._encode(labels, name))
        return path


def _translated(labels: Labels, mapping: dict[int, int], name: str) -> Labels:
    table = np.full(256, -1, np.int16)
    table[list(mapping)] = list(mapping.values())
    found = table[labels]
    if (found < 0).any():
        raise ValueError(f"{name}: holds label {labels[found < 0][0]}, which the server does not know")
    return np.asarray(found.astype(np.uint8))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
