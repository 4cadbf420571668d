"""Tiles to one block of the label map: pure NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wsiseg import confidence
from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.geometry import Region

NO_TISSUE = 0
"""What the tissue rule says; the same id as a network's background."""

Labels = NDArray[np.uint8]
"""(rows, columns) uint8 class ids, 254 unread, 255 not analysed."""
Values = NDArray[np.uint8]
"""(rows, columns) uint8 confidences, see `wsiseg.confidence`."""
Mask = NDArray[np.bool_]
"""(rows, columns) bool."""
Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True, slots=True)
class SegmentedTile:
    """What is known of one tile, each part (rows, columns) of it."""

    labels: Labels
    unread: Mask | None = None
    """What could not be decoded; None where all could."""
    confidence: Values | None = None


@dataclass(frozen=True, slots=True)
class ClassConfidence:
    """Confidences of the pixels of one class."""

    total: int
    """Sum of their values."""
    histogram: tuple[int, ...]
    """Pixels in each of `wsiseg.confidence.BINS` equal parts of 0 to 1."""


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """Pixels of a block by what became of them; together they are the block's pixels."""

    predicted: Mapping[int, int]
    """Pixels that the network spoke for, by class id."""
    no_tissue: int
    unread: int
    not_analysed: int
    confidence: Mapping[int, ClassConfidence] | None = None
    """By class id; None where it was not asked for."""


@dataclass(frozen=True, slots=True)
class StitchedBlock:
    """One block of the label map, and of the confidences where they were asked for."""

    labels: Labels
    counts: BlockCounts
    confidence: Values | None = None


def stitch_block(
    block: Region,
    tiles: list[Region],
    segment: Callable[[list[Region]], Iterable[SegmentedTile]],
    tissue: Mask,
    inside: Mask | None,
    *,
    with_confidence: bool = False,
) -> StitchedBlock:
    """Fill one block from its tiles and apply the rules.

    `tissue` and `inside` (the region of interest) are (block.height, block.width). `segment` gets
    the tiles in which a pixel of tissue lies inside the region of interest, and gives what is known of
    each, in their order. Order of the rules, the strongest last: network, no tissue, unread, outside of
    the region of interest.
    """
    if inside is None and not tissue.any():
        return _without_tissue(block, with_confidence=with_confidence)
    labels: Labels = np.full(block.shape, NO_TISSUE, np.uint8)
    values: Values | None = np.zeros(block.shape, np.uint8) if with_confidence else None
    unread: Mask | None = None
    wanted = tissue if inside is None else tissue & inside
    tiles = [tile for tile in tiles if wanted[tile.slices_in(block)].any()]
    for tile, made in zip(tiles, segment(tiles), strict=True):
        at = tile.slices_in(block)
        labels[at] = made.labels
        if values is not None and made.confidence is not None:
            values[at] = made.confidence
        if made.unread is not None:
            if unread is None:
                unread = np.zeros(block.shape, bool)
            unread[at] = made.unread & tissue[at]
    rules = (None if tissue.all() else ~tissue, unread, None if inside is None else ~inside)
    _apply(labels, rules, (NO_TISSUE, UNREAD, NOT_ANALYSED))
    if values is not None:
        _apply(values, rules, (confidence.NO_TISSUE, confidence.UNREAD, confidence.NOT_ANALYSED))
    analysed = block.area if inside is None else int(np.count_nonzero(inside))
    no_tissue = analysed - int(np.count_nonzero(wanted))
    pixels = count_values(labels)
    predicted = pixels[:UNREAD].copy()
    predicted[NO_TISSUE] -= no_tissue  # the rest is the network's background
    spoken = wanted if unread is None else wanted & ~unread
    counts = BlockCounts(
        predicted={int(label): int(predicted[label]) for label in np.flatnonzero(predicted)},
        no_tissue=no_tissue,
        unread=int(pixels[UNREAD]),
        not_analysed=int(pixels[NOT_ANALYSED]),
        confidence=None if values is None else count_confidence(labels[spoken], values[spoken]),
    )
    return StitchedBlock(labels, counts, values)


def _without_tissue(block: Region, *, with_confidence: bool) -> StitchedBlock:
    """Return a block of glass: of most slides most blocks."""
    return StitchedBlock(
        np.full(block.shape, NO_TISSUE, np.uint8),
        BlockCounts({}, block.area, unread=0, not_analysed=0, confidence={} if with_confidence else None),
        np.full(block.shape, confidence.NO_TISSUE, np.uint8) if with_confidence else None,
    )


def _apply(values: Values, rules: tuple[Mask | None, ...], marks: tuple[int, ...]) -> None:
    for rule, mark in zip(rules, marks, strict=True):
        if rule is not None:
            np.copyto(values, np.uint8(mark), where=rule)


def count_values(pixels: Labels) -> NDArray[np.int64]:
    """Return how many pixels have each of the 256 values.

    Counted in pairs of neighbours, whose 65,536 counts are then added up: a third of the time.
    """
    flat = np.ascontiguousarray(pixels).ravel()
    even = flat.size // 2 * 2
    pairs = np.bincount(flat[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    counts: NDArray[np.int64] = pairs.sum(0) + pairs.sum(1) + np.bincount(flat[even:], minlength=256)
    return counts


def count_confidence(labels: Labels, values: Values) -> dict[int, ClassConfidence]:
    """Count the confidences of each class; `labels` and `values` are of the same pixels, in one dimension."""
    table = np.bincount(labels.astype(np.intp) * 256 + values, minlength=1 << 16).reshape(256, 256)
    bins = np.minimum(np.arange(256) * confidence.BINS // confidence.HIGHEST, confidence.BINS - 1)
    return {
        int(label): ClassConfidence(
            total=int(table[label] @ np.arange(256)),
            histogram=tuple(
                int(pixels) for pixels in np.bincount(bins, table[label], confidence.BINS).astype(np.int64)
            ),
        )
        for label in np.flatnonzero(table.any(1))
    }


def crop_tile(predicted: NDArray[Pixel], tile: Region, halo_px: int) -> NDArray[Pixel]:
    """Cut the useful part out of a network output (rows, columns) that has the halo on every side."""
    return predicted[halo_px : halo_px + tile.height, halo_px : halo_px + tile.width]
