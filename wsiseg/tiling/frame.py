"""A slide seen at one physical resolution: which level to read and how its pixels map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region, ceil_div
from wsiseg.slides.slide import RGB, Level, Slide
from wsiseg.slides.surround import fill_around
from wsiseg.tiling.resample import area_any, area_mean, source_region

LEVEL_TOLERANCE = 0.005
"""A level at most this much coarser than the target still counts as fine enough."""
COARSE_LIMIT = 0.25
"""A slide that is coarser than the network's mpp by more than this is refused."""
WHOLE_WITHIN = 0.01
"""A prediction is made at a whole number of slide pixels per label pixel where that is this near to the
model's mpp: 0.998 um/px for a slide of 0.499. No network sees the difference; nothing has to be weighed."""
STRIP_SOURCE_PX = 4_000_000
"""Source pixels read at once: bounds memory however far the slide's levels lie apart."""
MAX_IMAGE_MPP = 32.0
"""A coarser stored image shows nothing, and one pixel of it would be a large read."""
LARGEST_PX = 2**38
"""Label pixels, more than any slide has: beyond it the lists of blocks and cells would fill memory."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A grid of pixels of `mpp` over a slide; its origin is the slide's top left corner."""

    mpp: tuple[float, float]
    """(x, y) um per pixel; (1, 1) px for a photo."""
    width_px: int
    height_px: int
    factor_l0: tuple[float, float]
    """(x, y) level-0 pixels per pixel of this frame."""

    @property
    def pixel_mm2(self) -> float:
        """Area of one pixel, mm2."""
        return self.mpp[0] * self.mpp[1] * 1e-6

    def from_l0(self, region_l0: Region) -> Region:
        """Return the pixels that a level-0 rectangle touches, clipped to the frame."""
        fx, fy = self.factor_l0
        x, y = math.floor(region_l0.x / fx + 1e-9), math.floor(region_l0.y / fy + 1e-9)
        right, bottom = math.ceil(region_l0.right / fx - 1e-9), math.ceil(region_l0.bottom / fy - 1e-9)
        return Region(x, y, right - x, bottom - y).intersect(Region(0, 0, self.width_px, self.height_px))


def frame_at(
    level_0: Level, slide_mpp: tuple[float, float], mpp: float, *, whole_within: float = 0.0
) -> Frame:
    """Return the frame of `mpp` um/px over a slide, or of the slide's own where that is coarser.

    Where a whole number of slide pixels per pixel comes within the share `whole_within` of `mpp` on both
    axes, the frame has that number, and the mpp that follows from it.
    """
    factor = (max(mpp / slide_mpp[0], 1.0), max(mpp / slide_mpp[1], 1.0))
    whole = (float(round(factor[0])), float(round(factor[1])))
    if all(abs(near - exact) <= whole_within * exact for near, exact in zip(whole, factor, strict=True)):
        factor = whole
        own = (factor[0] * slide_mpp[0], factor[1] * slide_mpp[1])
    else:
        own = (max(mpp, slide_mpp[0]), max(mpp, slide_mpp[1]))
        factor = (own[0] / slide_mpp[0], own[1] / slide_mpp[1])
    return Frame(
        mpp=own,
        width_px=max(1, math.ceil(level_0.width_px / factor[0] - 1e-6)),
        height_px=max(1, math.ceil(level_0.height_px / factor[1] - 1e-6)),
        factor_l0=factor,
    )


def check_resolution(slide_mpp: tuple[float, float], model_mpp: float) -> str | None:
    """Return a warning for a slide that is a little coarser than the network's mpp.

    Raises InputRefusedError for one that is much coarser: detail that was never scanned cannot be added.
    """
    coarsest = max(slide_mpp)
    if coarsest > model_mpp * (1 + COARSE_LIMIT):
        raise InputRefusedError(
            f"the slide has {coarsest:g} um/px, but the model needs {model_mpp:g} um/px or finer: "
            f"scan at a higher magnification, use another model, or correct --slide-mpp"
        )
    if coarsest > model_mpp * 1.01:
        return (
            f"the slide ({coarsest:g} um/px) is coarser than the model's {model_mpp:g} um/px: "
            f"labels are less sure"
        )
    return None


def image_frame_for(
    slide: Slide, slide_mpp: tuple[float, float], label_frame: Frame, image_mpp: float
) -> Frame:
    """Return the frame of the image that is stored beside labels. Raises UsageError for a useless mpp."""
    if not image_mpp >= min(label_frame.mpp):
        raise UsageError(
            f"--image-mpp {image_mpp:g} is finer than the labels ({min(label_frame.mpp):g} um/px): "
            f"give that or more"
        )
    if image_mpp > MAX_IMAGE_MPP:
        raise UsageError(f"--image-mpp {image_mpp:g}: expected at most {MAX_IMAGE_MPP:g} um/px")
    return frame_at(slide.levels[0], slide_mpp, image_mpp, whole_within=WHOLE_WITHIN)


def check_size(slide: Slide, label_frame: Frame) -> None:
    """Raise InputRefusedError for a label map beyond any slide, before lists of its blocks are made."""
    if label_frame.width_px * label_frame.height_px > LARGEST_PX:
        raise InputRefusedError(
            f"{slide.name}: {label_frame.width_px} x {label_frame.height_px} label pixels: expected at "
            f"most {LARGEST_PX:,}; the file lies about its size, or the mpp given is wrong"
        )


def choose_level(levels: Sequence[Level], factor_l0: tuple[float, float]) -> int:
    """Return the coarsest level that is as fine as the frame; level 0 where none is."""
    limit = min(factor_l0) * (1 + LEVEL_TOLERANCE)
    fine = [number for number, level in enumerate(levels) if level.downsample <= limit]
    return max(fine, key=lambda number: levels[number].downsample, default=0)


def choose_reduction(reductions: Sequence[int], factor: tuple[float, float]) -> int:
    """Return the largest of these by which a level can be decoded smaller for a frame of this factor; or 1.

    Only where a whole number of the smaller pixels makes a pixel of the frame: the mean of means is then the
    mean. Otherwise pixels would be blurred where the two grids fall out of step (up to 7 grey levels).
    """
    return max(
        (by for by in reductions if all((value / by).is_integer() for value in factor)),
        default=1,
    )


class FrameReader:
    """Reads rectangles of a frame from a slide's nearest finer level, decoded smaller where it can be."""

    def __init__(self, slide: Slide, frame: Frame, outside: tuple[int, int, int] | None = None) -> None:
        self.slide = slide
        self.frame = frame
        self.level = choose_level(slide.levels, frame.factor_l0)
        downsample = slide.levels[self.level].downsample
        factor = (_near(frame.factor_l0[0] / downsample), _near(frame.factor_l0[1] / downsample))
        self.by = choose_reduction(slide.reductions(self.level), factor)
        self.factor = (factor[0] / self.by, factor[1] / self.by)
        self.outside = outside

    def read(self, region: Region) -> tuple[RGB, NDArray[np.bool_] | None]:
        """Read a rectangle of the frame, which may reach beyond the slide.

        Returns RGB (region.height, region.width, 3) uint8, and (rows, columns) bool that marks what
        could not be decoded, or None where all could. What lies outside the slide is its background.
        """
        area = self.factor[0] * self.factor[1]
        columns = min(region.width, max(1, int(STRIP_SOURCE_PX / area)))
        rows = max(1, int(STRIP_SOURCE_PX / max(1.0, columns * area)))
        if rows >= region.height and columns == region.width:
            rgb, unread = self._read_strip(region)
        else:
            rgb, unread = self._read_by_strips(region, rows, columns)
        if self.outside is not None:
            frame = Region(0, 0, self.frame.width_px, self.frame.height_px)
            fill_around(rgb, region, region.intersect(frame), self.outside)
        return rgb, unread

    def _read_by_strips(
        self, region: Region, rows: int, columns: int
    ) -> tuple[RGB, NDArray[np.bool_] | None]:
        rgb: RGB = np.empty((*region.shape, 3), np.uint8)
        unread: NDArray[np.bool_] | None = None
        for top in range(region.y, region.bottom, rows):
            for left in range(region.x, region.right, columns):
                strip = Region(left, top, columns, rows).intersect(region)
                at = strip.slices_in(region)
                rgb[at], missing = self._read_strip(strip)
                if missing is not None:
                    if unread is None:
                        unread = np.zeros(region.shape, bool)
                    unread[at] = missing
        return rgb, unread

    def _read_strip(self, strip: Region) -> tuple[RGB, NDArray[np.bool_] | None]:
        source_at = source_region(strip, self.factor)
        source, missing = self._read_source(source_at)
        with self.slide.trace.span("resample"):
            rgb = area_mean(source, source_at, strip, self.factor)
            unread = area_any(missing, source_at, strip, self.factor) if missing.any() else None
        return rgb, unread

    def _read_source(self, at: Region) -> tuple[RGB, NDArray[np.bool_]]:
        """Read the level; its last row and column stand in for what the frame has beyond it.

        A level's size is the slide's, rounded down: the frame's last pixel may lie beyond, and is no glass.
        """
        level = self.slide.levels[self.level]
        ends = []
        beyond = False
        for start, stop, own, factor, count in (
            (at.x, at.right, level.width_px, self.factor[0], self.frame.width_px),
            (at.y, at.bottom, level.height_px, self.factor[1], self.frame.height_px),
        ):
            last = ceil_div(own, self.by) - 1
            index = np.arange(start, stop)
            missing_here = (index > last) & (index < math.ceil(count * factor - 1e-6))
            beyond = beyond or bool(missing_here.any())
            ends.append(np.where(missing_here, last, index))
        if not beyond:
            return self.slide.read_region_masked(self.level, at, self.by)
        columns, rows = ends
        x, y = int(columns.min()), int(rows.min())
        wide = Region(x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y)
        source, missing = self.slide.read_region_masked(self.level, wide, self.by)
        around = np.ix_(rows - y, columns - x)
        return source[around], missing[around]


def _near(factor: float) -> float:
    """Take a factor that is whole but for float error as whole."""
    whole = round(factor)
    return float(whole) if whole and abs(factor - whole) < 1e-9 * factor else factor
