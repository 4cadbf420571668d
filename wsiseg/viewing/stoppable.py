"""A slide whose reading can be stopped: the way in which a run from a window ends at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import EXIT_INTERRUPTED, WsisegError
from wsiseg.geometry import Region
from wsiseg.slides.slide import RGB, Slide
from wsiseg.trace import NoTrace


class StoppedError(WsisegError):
    """A run that its user stopped; what it wrote stays, and the same run goes on from there."""

    exit_code = EXIT_INTERRUPTED


def check(stop: threading.Event) -> None:
    """Raise StoppedError where a stop was asked for."""
    if stop.is_set():
        raise StoppedError("stopped; the same run goes on from here")


class StoppableSlide:
    """A slide that raises StoppedError on the first read after `stop` was set."""

    def __init__(self, slide: Slide, stop: threading.Event) -> None:
        self._slide = slide
        self._stop = stop
        self.source = slide.source
        self.name = slide.name
        self.backend = slide.backend
        self.vendor = slide.vendor
        self.levels = slide.levels
        self.mpp = slide.mpp
        self.objective_power = slide.objective_power
        self.background = slide.background
        self.warnings = slide.warnings

    @property
    def trace(self) -> NoTrace:
        """See `Slide.trace`."""
        return self._slide.trace

    @trace.setter
    def trace(self, trace: NoTrace) -> None:
        self._slide.trace = trace

    def read_region(self, level: int, region: Region) -> RGB:
        """See `Slide.read_region`."""
        check(self._stop)
        return self._slide.read_region(level, region)

    def reductions(self, level: int) -> tuple[int, ...]:
        """See `Slide.reductions`."""
        return self._slide.reductions(level)

    def read_region_masked(self, level: int, region: Region, by: int = 1) -> tuple[RGB, NDArray[np.bool_]]:
        """See `Slide.read_region_masked`."""
        check(self._stop)
        return self._slide.read_region_masked(level, region, by)

    def associated_images(self) -> Mapping[str, tuple[int, int]]:
        """See `Slide.associated_images`."""
        return self._slide.associated_images()

    def reopen(self) -> StoppableSlide:
        """See `Slide.reopen`."""
        return StoppableSlide(self._slide.reopen(), self._stop)

    def close(self) -> None:
        """See `Slide.close`."""
        self._slide.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
