"""What all backends do alike: checks, clipping to the level, and errors that say where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideReadError
from wsiseg.geometry import Region, ceil_div
from wsiseg.shortage import blame_no_input
from wsiseg.slides.masked import read_by_quarters
from wsiseg.slides.slide import RGB, Level, SlideClosedError
from wsiseg.slides.surround import fill_around
from wsiseg.trace import NO_TRACE, NoTrace

WHITE = (255, 255, 255)


class SlideBase:
    """Base of the backends: they fill the fields of `Slide` and read what lies inside a level."""

    backend = ""

    def __init__(self, source: str, name: str) -> None:
        self.source = source
        self.name = name
        self.vendor = "unknown"
        self.levels: tuple[Level, ...] = ()
        self.mpp: tuple[float, float] | None = None
        self.objective_power: float | None = None
        self.background = WHITE
        self.warnings: tuple[str, ...] = ()
        self.trace: NoTrace = NO_TRACE
        self._closed = False

    def read_region(self, level: int, region: Region) -> RGB:
        """See `Slide.read_region`."""
        inside = self._inside(level, region)
        return self._with_background(
            region, inside, self._read_inside(level, inside) if inside.area else None
        )

    def reductions(self, level: int) -> tuple[int, ...]:
        """See `Slide.reductions`."""
        return ()

    def read_region_masked(self, level: int, region: Region, by: int = 1) -> tuple[RGB, NDArray[np.bool_]]:
        """See `Slide.read_region_masked`."""
        if by != 1 and by not in self.reductions(level):
            raise ValueError(f"{self.name}: level {level} cannot be read {by} times smaller")
        inside = self._inside(level, region, by)
        if not inside.area:
            return self._with_background(region, inside, None), np.zeros(region.shape, np.bool_)
        with self.trace.span("read"):
            if by == 1:
                pixels, missing = self._read_inside_masked(level, inside)
            else:
                pixels, missing = self._read_inside_reduced(level, inside, by)
        if inside != region:
            within, missing = missing, np.zeros(region.shape, np.bool_)
            missing[inside.slices_in(region)] = within
        return self._with_background(region, inside, pixels), missing

    def associated_images(self) -> Mapping[str, tuple[int, int]]:
        """See `Slide.associated_images`."""
        return {}

    def reopen(self) -> SlideBase:
        """See `Slide.reopen`."""
        raise NotImplementedError

    def close(self) -> None:
        """See `Slide.close`."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{level.width_px} x {level.height_px}" for level in self.levels)
        return f"<{self.backend} slide {self.name!r}: {sizes}>"

    # For the backends.

    def _read_inside(self, level: int, inside: Region) -> RGB:
        """Read a rectangle of positive area inside the level; SlideReadError where any part fails."""
        raise NotImplementedError

    def _read_inside_masked(self, level: int, inside: Region) -> tuple[RGB, NDArray[np.bool_]]:
        """Read the same with a mask, True where unread; backends that know their tiles replace this."""
        return read_by_quarters(self, level, inside)

    def _read_inside_reduced(self, level: int, inside: Region, by: int) -> tuple[RGB, NDArray[np.bool_]]:
        """Read a rectangle of the level made `by` times smaller; for backends that have `reductions`."""
        raise NotImplementedError

    def _inside(self, level: int, region: Region, by: int = 1) -> Region:
        """Return what of a region lies in a level that is made `by` times smaller."""
        self._check_open()
        if not 0 <= level < len(self.levels):
            raise ValueError(f"{self.name}: level {level}: expected 0 to {len(self.levels) - 1}")
        if region.width < 0 or region.height < 0:
            raise ValueError(
                f"{self.name}: region of {region.width} x {region.height} px: expected 0 or more"
            )
        whole = self.levels[level]
        return region.intersect(Region(0, 0, ceil_div(whole.width_px, by), ceil_div(whole.height_px, by)))

    def _with_background(self, region: Region, inside: Region, pixels: RGB | None) -> RGB:
        """Return an array of the caller's own over `region`, with the pixels of `inside` in it."""
        if pixels is not None and inside == region:
            return np.require(pixels, requirements=["C", "O", "W"])  # no copy of what was made for this read
        out = np.empty((*region.shape, 3), dtype=np.uint8)
        if pixels is not None:
            out[inside.slices_in(region)] = pixels
        fill_around(out, region, inside, self.background)
        return out

    def _check_open(self) -> None:
        if self._closed:
            raise SlideClosedError(f"{self.name}: the slide is closed: open it again before reading")

    def _unreadable(self, level: int, region: Region, why: object) -> SlideReadError:
        blame_no_input(why)
        where = f"level {level}, x {region.x}, y {region.y}, {region.width} x {region.height} px"
        return SlideReadError(f"{self.name}: {where}: cannot be read: {one_line(why)}")


def one_line(value: object, limit: int = 300) -> str:
    """Return a library's message in one line that fits into ours."""
    text = " ".join(str(value).split()) or type(value).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def build_levels(sizes: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """Return levels for (width, height) in px, finest first.

    The factor is a whole number f where the sizes allow one (both sides within a pixel of w0 / f):
    that a level's size was rounded does not change its scale. Of several, as small levels allow, a
    power of two is taken, else the nearest to the mean of the two ratios. Where there is none it is
    that mean, as in OpenSlide.
    """
    width0, height0 = sizes[0]
    levels = []
    for width, height in sizes:
        ratio = (width0 / width + height0 / height) / 2
        near = {2 ** round(math.log2(max(1.0, ratio))), round(ratio), math.floor(ratio), math.ceil(ratio)}
        whole = [f for f in near if f and abs(width0 / f - width) < 1 and abs(height0 / f - height) < 1]
        factor = min(whole, key=lambda f: (f & (f - 1) != 0, abs(f - ratio))) if whole else ratio
        levels.append(Level(width, height, float(factor)))
    return tuple(levels)
