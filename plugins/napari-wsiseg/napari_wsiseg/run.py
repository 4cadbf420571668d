"""One prediction, in a process of its own; what it says arrives in the window's thread."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_wsiseg.layers import LabelsShown
from napari_wsiseg.tiles import TiledLevels
from wsiseg.viewing.growing import GrowingLevels
from wsiseg.viewing.helper import LAST, Begun, Helper

MOST_READ_FIRST = 64
"""Blocks of an unfinished result that are read before its layer is there; of more, as they come into view."""

_running: set[WindowRun] = set()
"""Kept until their last word was heard: Qt must not be left with signals of an object that is gone."""


class WindowRun(QObject):
    """A run that a window watches. Make it in the window's thread."""

    growing = Signal(object)
    """LabelsShown: labels that fill as the run goes on."""
    progressed = Signal(float, float)
    """Part done, 0 to 1, and seconds left."""
    finished = Signal(object)
    """SlideResult."""
    stopped = Signal()
    failed = Signal(str)
    _ended = Signal()

    def __init__(self, helper: Helper, *job: Any) -> None:
        """`job` is one of the helper's, and what belongs to it."""
        super().__init__()
        self._helper = helper
        self._job = job
        self._levels: GrowingLevels | None = None
        self._tiles: TiledLevels | None = None
        self._began = 0.0
        self._ended.connect(self._let_go)

    def start(self) -> None:
        """Begin."""
        _running.add(self)
        self._helper.begin(self._hear, *self._job)

    def look(self, view_l0: Any) -> None:
        """Tell a live run what is in view."""
        self._helper.tell("look", view_l0)

    def stop(self) -> None:
        """Ask the run to end at its next tile or read; `stopped` follows."""
        self._helper.tell("stop")

    def _hear(self, name: str, *said: Any) -> None:
        """Pass on what the run says, from the thread that listens to it."""
        if name == "begun":
            self._show(*said)
        elif name == "progress":
            self._progress(*said)
        elif name in LAST:
            getattr(self, name).emit(*said)
            self._ended.emit()
        elif self._levels is not None and self._tiles is not None:
            at = said[0]
            if name == "part":
                self._levels.show_part(*said)
            else:
                side = self._levels.grid.block_px
                self._levels.finished((at.y // side, at.x // side))
            self._tiles.invalidate(at)

    def _let_go(self) -> None:
        _running.discard(self)

    def _show(self, begun: Begun) -> None:
        self._levels = begun.levels()
        self._tiles = TiledLevels(self._levels, is_base_cheap=len(begun.done) <= MOST_READ_FIRST)
        frame = begun.frame
        self.growing.emit(LabelsShown(self._tiles, begun.class_map, frame.mpp, frame.factor_l0))

    def _progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._began:
            self._began, self._done_before = now, done
        rate = (done - self._done_before) / max(1e-6, now - self._began)
        self.progressed.emit(done / max(1, total), (total - done) / rate if rate else -1.0)
