"""One prediction, in threads of its own; what it says arrives in the window's thread."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_wsiseg.background import Task
from napari_wsiseg.layers import LabelsShown
from napari_wsiseg.tiles import TiledLevels
from wsiseg.annotations.annotation import Ring
from wsiseg.geometry import Region
from wsiseg.run.plan import RunPlan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.viewing.growing import GrowingLevels
from wsiseg.viewing.stoppable import StoppedError
from wsiseg.viewing.watched_run import predict_watched


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

    def __init__(
        self, source: str, output: Path, options: PredictOptions, outline: Ring | None = None
    ) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._tiles: TiledLevels | None = None
        self._began = 0.0
        self._task = Task(lambda: self._predict(source, output, options, outline))
        self._task.done.connect(self._done)
        self._task.failed.connect(self.failed)

    def start(self) -> None:
        """Begin."""
        self._task.start()

    def stop(self) -> None:
        """Ask the run to end at its next tile or read; `stopped` follows."""
        self._stop.set()

    def wait(self) -> None:
        """Stop, and wait until the run has let go of its files."""
        self.stop()
        thread = self._task.thread_of_work
        if thread.is_alive():
            thread.join()

    def _predict(self, source: str, output: Path, options: PredictOptions, outline: Ring | None) -> Any:
        try:
            return predict_watched(
                source,
                output,
                options,
                stop=self._stop,
                outline=outline,
                on_start=self._started,
                on_block=self._block,
                progress=self._progress,
            )
        except StoppedError:
            return None

    def _done(self, result: Any) -> None:
        if result is None:
            self.stopped.emit()
        else:
            self.finished.emit(result)

    def _started(self, plan: RunPlan, levels: GrowingLevels) -> None:
        self._tiles = TiledLevels(levels)
        self.growing.emit(growing_labels(plan, self._tiles))

    def _block(self, block: Region) -> None:
        if self._tiles is not None:
            self._tiles.invalidate(block)

    def _progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._began:
            self._began, self._done_before = now, done
        rate = (done - self._done_before) / max(1e-6, now - self._began)
        self.progressed.emit(done / max(1, total), (total - done) / rate if rate else -1.0)


def growing_labels(plan: RunPlan, tiles: TiledLevels) -> LabelsShown:
    """Return what is behind the layer of a run that is not finished."""
    return LabelsShown(tiles, plan.class_map, plan.frame.mpp, plan.frame.factor_l0)
