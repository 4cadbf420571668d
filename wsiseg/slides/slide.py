"""What every slide backend offers: lazily read pixels, levels and their physical size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideReadError
from wsiseg.geometry import Region
from wsiseg.trace import NoTrace

RGB = NDArray[np.uint8]
"""(rows, columns, 3) uint8."""


class SlideClosedError(SlideReadError):
    """Reading after `close()`: a mistake of the caller, never a damaged file."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide."""

    width_px: int
    height_px: int
    downsample: float
    """Factor against level 0: one pixel here covers downsample x downsample level-0 pixels."""

    @property
    def region(self) -> Region:
        """The whole level, in its own pixels."""
        return Region(0, 0, self.width_px, self.height_px)


class Slide(Protocol):
    """A slide that is open for reading. Reading is safe from several threads."""

    source: str
    """Path or URL it was opened from; `open_slide(source)` opens it again in another process."""
    name: str
    """File or folder name, without any folders above it."""
    backend: str
    """Key of `wsiseg.slides.BACKENDS`."""
    vendor: str
    levels: tuple[Level, ...]
    """Finest first; never empty."""
    mpp: tuple[float, float] | None
    """(x, y) micrometres per level-0 pixel, as the file says; None where it says nothing."""
    objective_power: float | None
    background: tuple[int, int, int]
    """RGB of what lies outside the scanned area."""
    warnings: tuple[str, ...]
    """What a user should know about this file, one line each."""
    trace: NoTrace
    """What keeps account of the time of the run that reads it."""

    def read_region(self, level: int, region: Region) -> RGB:
        """Read a rectangle given in the level's own pixels.

        The rectangle may reach beyond the level or lie outside of it; what is outside, and what the
        file marks as transparent, has the slide's background colour. Returns (region.height,
        region.width, 3) uint8. Raises SlideReadError where any part cannot be decoded.
        """
        ...

    def reductions(self, level: int) -> tuple[int, ...]:
        """Return the whole factors by which a level can be read smaller at less cost, besides 1."""
        ...

    def read_region_masked(self, level: int, region: Region, by: int = 1) -> tuple[RGB, NDArray[np.bool_]]:
        """Read as `read_region` does, and say what could not be decoded instead of raising.

        With `by`, one of `reductions(level)`, the region is in pixels of `by` x `by` of the level's, and
        each is about their mean.

        Returns the pixels and (region.height, region.width) bool, True where unread; unread pixels
        have the background colour. What counts as one unreadable piece is the file's tile or chunk,
        or a square of 256 px on the level's grid (cut by the region) where the backend does not know
        them. Raises SlideClosedError after `close()`.
        """
        ...

    def associated_images(self) -> Mapping[str, tuple[int, int]]:
        """Return (width, height) of the label, macro, thumbnail...; they are never copied into outputs."""
        ...

    def reopen(self) -> Slide:
        """Return the same slide on a fresh handle; this one stays open and is closed on its own.

        For use in another thread or process, never needed after an error: a handle of a library that
        dies with its first error is replaced inside.
        """
        ...

    def close(self) -> None:
        """Release the file. Reading afterwards raises SlideClosedError."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
