"""Tiles to one block of the label map: pure NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.geometry import Region

NO_TISSUE = 0
"""What the tissue rule says; the same id as a network's background."""

Labels = NDArray[np.uint8]
"""(rows, columns) uint8 class ids, 254 unread, 255 not analysed."""
Mask = NDArray[np.bool_]
"""(rows, columns) bool."""
Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """Pixels of a block by what became of them; together they are the block's pixels."""

    predicted: Mapping[int, int]
    """Pixels that the network spoke for, by class id."""
    no_tissue: int
    unread: int
    not_analysed: int


def stitch_block(
    block: Region,
    tiles: list[Region],
    segment_tile: Callable[[Region], tuple[Labels, Mask | None]],
    tissue: Mask,
    inside: Mask | None,
) -> tuple[Labels, BlockCounts]:
    """Fill one block from its tiles and apply the rules.

    `tissue` and `inside` (the region of interest) are (block.height, block.width). `segment_tile`
    gives a tile's labels and what could not be read in it; it is only called for tiles in which a
    pixel of tissue lies inside the region of interest. Order of the rules, the strongest last:
    network, no tissue, unread, outside of the region of interest.
    """
    labels: Labels = np.full(block.shape, NO_TISSUE, np.uint8)
    unread = np.zeros(block.shape, bool)
    wanted = tissue if inside is None else tissue & inside
    for tile in tiles:
        at = tile.slices_in(block)
        if not wanted[at].any():
            continue
        labels[at], missing = segment_tile(tile)
        if missing is not None:
            unread[at] = missing
    labels[~tissue] = NO_TISSUE
    unread &= tissue
    labels[unread] = UNREAD
    if inside is not None:
        labels[~inside] = NOT_ANALYSED
        tissue, unread = tissue & inside, unread & inside
    analysed = block.area if inside is None else int(inside.sum())
    histogram = np.bincount(labels[tissue & ~unread], minlength=256)
    return labels, BlockCounts(
        predicted={int(label): int(histogram[label]) for label in np.flatnonzero(histogram)},
        no_tissue=analysed - int(tissue.sum()),
        unread=int(unread.sum()),
        not_analysed=block.area - analysed,
    )


def crop_tile(predicted: NDArray[Pixel], tile: Region, halo_px: int) -> NDArray[Pixel]:
    """Cut the useful part out of a network output (rows, columns) that has the halo on every side."""
    return predicted[halo_px : halo_px + tile.height, halo_px : halo_px + tile.width]
