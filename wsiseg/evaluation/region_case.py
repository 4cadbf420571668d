"""A labelled region in two PNGs of any size, scored at its full resolution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.datasets.pictures import Values
from wsiseg.datasets.region_files import decode_region
from wsiseg.evaluation.by_case import Piece
from wsiseg.evaluation.tiled_logits import TiledLogits, TileLogits
from wsiseg.geometry import Region
from wsiseg.slides.array import ArraySlide
from wsiseg.slides.png_rows import ScratchRows

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRegion:
    """A region, decoded to scratch files."""

    slide: ArraySlide
    truth: ScratchRows
    """(rows, columns, 1) label ids; 255 is ignored."""

    def labels(self, region: Region) -> Labels:
        """Return (rows, columns) label ids of a rectangle."""
        rows, columns = region.slices_in(Region(0, 0, 0, 0))
        return self.truth[rows, columns, 0]


@contextmanager
def decoded_region(image: Path, labels: Path, values: Values) -> Iterator[LabelledRegion]:
    """Decode the two PNGs of a region into a temporary folder, block by block of rows.

    `values` says what the values of the label image mean. Raises InputRefusedError for files that are
    damaged, differ in size or hold other values.
    """
    with TemporaryDirectory(prefix="wsiseg-") as folder:
        rgb, truth = decode_region(image, labels, values, Path(folder))
        with ArraySlide(rgb, name=image.name) as slide:
            yield LabelledRegion(slide, truth)


@dataclass(frozen=True, slots=True, eq=False)
class RegionCase:
    """See `wsiseg.evaluation.by_case.LabelledCase`."""

    name: str
    group: str
    region: LabelledRegion
    logits: TiledLogits
    channel_labels: NDArray[np.uint8]
    """What each channel of the logits stands for, in label ids of the data set."""

    def pieces(self) -> Iterator[Piece]:
        """Yield the tiles that have truth in them."""

        def labelled(region: Region) -> bool:
            return bool((self.region.labels(region) != NOT_ANALYSED).any())

        for tile in self.logits.tiles(labelled):
            labels = labels_of(tile, self.channel_labels)
            yield Piece(tile.region, self.region.labels(tile.region), labels)

    def picture(self, region: Region) -> NDArray[np.uint8]:
        """Return RGB (rows, columns, 3)."""
        return self.region.slide.read_region(0, region)


def labels_of(tile: TileLogits, channel_labels: NDArray[np.uint8]) -> Labels:
    """Return the labels (rows, columns) of a tile of the result; 254 where it could not be read."""
    labels = np.empty(tile.region.shape, np.uint8)
    for strip in tile.strips():
        own = labels[strip.region.slices_in(tile.region)]
        own[:] = channel_labels[strip.logits.argmax(dim=0).cpu().numpy()]
        if strip.unread is not None:
            own[strip.unread] = UNREAD
    return labels
