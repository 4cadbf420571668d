"""Where a slide has tissue, decided from its coarse levels, so that empty glass is never read in full.

The verdict is a grid of cells. A cell is a power of two of label pixels wide (about 32 um), so it falls
on whole pixels of the label pyramid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import disk, remove_small_objects

from wsiseg.geometry import Region, ceil_div
from wsiseg.slides.slide import RGB, Slide
from wsiseg.tiling.frame import Frame, FrameReader

CELL_UM = 32.0
PIXELS_PER_CELL = 4
CHROMA_LIMITS = (7.0, 18.0)
"""Otsu's threshold on chroma is held in here: a slide that is all tissue, or all glass, has no two modes."""
DARK = 170
"""Grey level under which a pixel is looked at whatever its chroma (ink, folds, pigment, dark stain)."""
BLACK = 30
"""No channel above this: what was never scanned, or the dark field of fluorescence. Not tissue."""
VOID_TOLERANCE = 2
"""Grey levels within which a pixel is the slide's declared background, which may be any colour."""
STRIP_PX = 4_000_000
SMALLEST_PX = 12
"""Specks below this many pixels of 8 um (about 0.0008 mm2) are dust or noise."""
CLEAN_MARGIN_PX = 20
"""Rows around a strip that its cleaning can depend on: the closing's reach, and a speck's length."""


@dataclass(frozen=True, slots=True)
class TissueMask:
    """Boolean cells over a label map."""

    cells: NDArray[np.bool_]
    """(rows, columns); True has tissue and goes to the network."""
    cell_px: int
    """Side of a cell in label pixels."""

    def any_in(self, region: Region) -> bool:
        """Return whether a rectangle of the label map touches a cell with tissue."""
        cell = self.cell_px
        return bool(
            self.cells[
                max(0, region.y) // cell : ceil_div(region.bottom, cell),
                max(0, region.x) // cell : ceil_div(region.right, cell),
            ].any()
        )

    def pixels(self, region: Region) -> NDArray[np.bool_]:
        """Return the mask of a rectangle inside the label map, (region.height, region.width) bool."""
        cell = self.cell_px
        rows = slice(region.y // cell, ceil_div(region.bottom, cell))
        columns = slice(region.x // cell, ceil_div(region.right, cell))
        grown = self.cells[rows, columns].repeat(cell, axis=0).repeat(cell, axis=1)
        above, left = region.y - rows.start * cell, region.x - columns.start * cell
        return grown[above : above + region.height, left : left + region.width]


def cell_px_for(label_mpp: tuple[float, float]) -> int:
    """Return the power of two of label pixels nearest to CELL_UM, from 8 to 512."""
    exponent = round(float(np.log2(CELL_UM / min(label_mpp))))
    return int(2 ** min(9, max(3, exponent)))


def cell_shape(frame: Frame, cell_px: int) -> tuple[int, int]:
    """Return (rows, columns) of the cells over a label frame."""
    return ceil_div(frame.height_px, cell_px), ceil_div(frame.width_px, cell_px)


def all_tissue(frame: Frame) -> TissueMask:
    """Return a mask that sends everything to the network."""
    cell_px = cell_px_for(frame.mpp)
    return TissueMask(np.ones(cell_shape(frame, cell_px), bool), cell_px)


def find_tissue(slide: Slide, label_frame: Frame) -> TissueMask:
    """Find tissue by its colour at about 8 um/px: stained tissue has chroma, glass has next to none.

    What cannot be read counts as tissue, so that it is tried at full resolution and not passed over.
    """
    cell_px = cell_px_for(label_frame.mpp)
    rows, columns = cell_shape(label_frame, cell_px)
    step = cell_px / PIXELS_PER_CELL
    coarse = Frame(
        mpp=(label_frame.mpp[0] * step, label_frame.mpp[1] * step),
        width_px=columns * PIXELS_PER_CELL,
        height_px=rows * PIXELS_PER_CELL,
        factor_l0=(label_frame.factor_l0[0] * step, label_frame.factor_l0[1] * step),
    )
    reader = FrameReader(slide, coarse, outside=slide.background)
    chroma = np.zeros((coarse.height_px, coarse.width_px), np.uint8)  # the one thing held of the whole slide
    cells = np.zeros((rows, columns), bool)
    histogram = np.zeros(256, np.int64)
    for strip in _strips(coarse.height_px, coarse.width_px):
        rgb, unread = reader.read(strip)
        part, dark = _features(rgb, slide.background)
        chroma[strip.y : strip.bottom] = part
        histogram += np.bincount(part.ravel(), minlength=256)
        _add(cells, strip, dark if unread is None else dark | unread)
    threshold = _threshold(histogram)
    for strip in _strips(coarse.height_px, coarse.width_px):
        first = max(0, strip.y - CLEAN_MARGIN_PX)
        around = chroma[first : strip.bottom + CLEAN_MARGIN_PX] > threshold
        _add(cells, strip, _clean(around)[strip.y - first :][: strip.height])
    return TissueMask(ndimage.binary_dilation(cells, np.ones((3, 3), bool)), cell_px)


def _strips(height_px: int, width_px: int) -> Iterator[Region]:
    """Yield the rows of the coarse frame in whole cells, a few million pixels at a time."""
    rows = max(1, STRIP_PX // width_px // PIXELS_PER_CELL) * PIXELS_PER_CELL
    for top in range(0, height_px, rows):
        yield Region(0, top, width_px, min(rows, height_px - top))


def _add(cells: NDArray[np.bool_], strip: Region, pixels: NDArray[np.bool_]) -> None:
    """Mark the cells that have a marked pixel of this strip."""
    rows = slice(strip.y // PIXELS_PER_CELL, strip.bottom // PIXELS_PER_CELL)
    cells[rows] |= pixels.reshape(-1, PIXELS_PER_CELL, cells.shape[1], PIXELS_PER_CELL).any((1, 3))


def _features(rgb: RGB, background: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return chroma (largest minus smallest channel) and whether the pixel is dark.

    Neither where nothing was scanned: black, or the colour that the file gives to its void.
    """
    brightest = rgb.max(2)
    difference = np.abs(rgb.astype(np.int16) - np.array(background, np.int16)).max(2)
    void = (brightest <= BLACK) | (difference <= VOID_TOLERANCE)
    chroma = np.where(void, np.uint8(0), brightest - rgb.min(2))
    return chroma, (rgb.mean(2) < DARK) & ~void


def _threshold(histogram: NDArray[np.int64]) -> float:
    """Return the chroma above which a pixel is tissue, from the counts of the 256 values of chroma."""
    lowest, highest = CHROMA_LIMITS
    if np.count_nonzero(histogram) < 2:
        return highest
    return float(np.clip(threshold_otsu(hist=(histogram, np.arange(256))), lowest, highest))


def _clean(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Join what is a few pixels apart, then drop specks."""
    closed = ndimage.binary_closing(np.pad(mask, 3), disk(2))[3:-3, 3:-3] | mask
    kept: NDArray[np.bool_] = remove_small_objects(closed, max_size=SMALLEST_PX - 1)
    return kept
