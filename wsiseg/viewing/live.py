"""Segmenting without a run: what a window shows is computed as it is looked at."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from pathlib import Path

from wsiseg.run.output import claim, prepare_store
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult, check_unchanged, finished_result
from wsiseg.tiling.frame import Frame
from wsiseg.viewing.growing import GrowingLevels
from wsiseg.viewing.live_run import LiveRun
from wsiseg.viewing.looked_at import View, ViewL0
from wsiseg.viewing.stoppable import StoppedError, check
from wsiseg.viewing.watched_run import OnBlock, OnStart, done_blocks, planned, said_of, watch


class LiveSession:
    """One slide's result, computed where somebody looks. `look` and `stop` may be called from any thread."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        """Set by `stop`."""
        self._lock = threading.Lock()
        self._view: ViewL0 | None = None
        self._run: LiveRun | None = None

    def look(self, view_l0: ViewL0 | None) -> None:
        """Say what is in view; None while it moves. What is out of view is not computed any more."""
        with self._lock:
            self._view = view_l0
            if self._run is not None:
                self._run.look(None if view_l0 is None else _in_labels(view_l0, self._run.plan.frame))

    def stop(self) -> None:
        """Let `run` return once the tiles in work have ended."""
        self.stopping.set()
        with self._lock:
            if self._run is not None:
                self._run.close()

    def run(
        self,
        source: str | Path,
        output_dir: str | Path,
        options: PredictOptions,
        *,
        on_start: OnStart,
        on_block: OnBlock,
        on_part: OnBlock,
    ) -> SlideResult | None:
        """Compute what is looked at until `stop`; then the store can be gone on with by any run.

        `on_start` gets the labels as they grow, `on_block` each block that was stored, `on_part` each tile
        of one that is not whole and each such block that was let go, all in label pixels. They are called
        from any thread. Returns the result where it is finished already, else None. Raises WsisegError,
        in one line, for what cannot be done.
        """
        try:
            with planned(source, output_dir, options, stop=self.stopping) as (plan, paths):
                paths.store.parent.mkdir(parents=True, exist_ok=True)
                journal = claim(paths, plan.record, overwrite=False)
                if journal is None:
                    return finished_result(paths, plan.record)
                with closing(journal):
                    own = {"run": plan.record, **said_of(plan)}
                    store, _ = prepare_store(paths, journal, plan.layout, plan.class_map, own, plan.tissue)
                    levels = GrowingLevels(store, plan.grid, done_blocks(journal))
                    watch(journal, plan, levels, on_block)
                    run = LiveRun(plan, store, journal, levels, on_part)
                    on_start(plan, levels)
                    self._begin(run)
                    with suppress(StoppedError):
                        run.compute(options.workers)
                    check_unchanged(plan, paths, journal)
        except StoppedError:
            pass
        return None

    def _begin(self, run: LiveRun) -> None:
        """From here on the run is told of what is in view."""
        with self._lock:
            check(self.stopping)
            self._run = run
        self.look(self._view)


def _in_labels(view_l0: ViewL0, frame: Frame) -> View:
    region_l0, (x, y) = view_l0
    return View(frame.from_l0(region_l0), (x / frame.factor_l0[0], y / frame.factor_l0[1]))
