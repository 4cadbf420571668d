"""The work on one slide: blocks of labels that a network makes, each written by one task.

A task has its block's tiles read and segmented by the run's tile threads: as many as the network takes at
once, and one more that reads meanwhile. So the network has work whether there is one block or a thousand,
and what is in memory is one tile per tile thread and one block per task.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from wsiseg.geometry import Region
from wsiseg.inference.runtime import KEEPER, Runtime, usable_cpus
from wsiseg.pyramid.journal import TaskLog
from wsiseg.pyramid.store import ResultStore
from wsiseg.run.plan import RunPlan
from wsiseg.run.store_run import Progress, StoreRun
from wsiseg.stitching.kernel import SegmentedTile, crop_tile, stitch_block

MOST_STREAMS = 4
"""Tiles in the network at once: each stream has activations of its own, about 0.15 GB for a default tile."""
READING_AHEAD = 1
"""Tile threads more than streams."""


class SlideRun(StoreRun):
    """One slide's tasks over one store. Every method is safe to call from several threads."""

    def __init__(
        self, plan: RunPlan, store: ResultStore, journal: TaskLog, progress: Progress | None
    ) -> None:
        super().__init__(plan, store, journal, progress)
        self.plan = plan
        self._runtime: Runtime | None = None
        self._runtime_lock = threading.Lock()
        self._streams = 1
        self._turns = threading.Semaphore(1)
        self._tile_threads: ThreadPoolExecutor | None = None

    def compute(self, workers: int | None) -> None:
        """See `StoreRun.compute`; `workers` also bounds the tiles in the network."""
        self._streams = streams_for(workers)
        threads = ThreadPoolExecutor(self._streams + READING_AHEAD, thread_name_prefix="wsiseg-tile")
        self._tile_threads = threads
        try:
            super().compute(workers)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)

    def _tiles(self, block: Region) -> list[Region]:
        """Return the tiles of a block that the network has to see."""
        roi = self.plan.roi
        return [
            tile
            for tile in self.plan.grid.tiles(block)
            if self.plan.tissue.any_in(tile if roi is None else tile.intersect(roi))
            and (roi is None or tile.intersect(roi).area)
        ]

    def _work_px(self, block: Region) -> int:
        """See `StoreRun._work_px`."""
        return sum(tile.area for tile in self._tiles(block))

    def _label_block(self, row: int, column: int) -> None:
        """Read, segment, stitch and write one block of label level 0."""
        block = self.plan.grid.block(row, column)
        with self._trace.span("stitch"):
            made = stitch_block(
                block,
                self._tiles(block),
                self._segment,
                self.plan.tissue.pixels(block),
                self.plan.inside(block),
                with_confidence=self.plan.layout.confidence is not None,
            )
        self._write_labels((0, row, column), made.labels, made.confidence, counts=asdict(made.counts))

    def _segment(self, tiles: list[Region]) -> Iterable[SegmentedTile]:
        """Have tiles segmented by the tile threads, or by this one where there are none."""
        if self._tile_threads is None:
            return map(self._segment_tile, tiles)
        return self._waited_for(self._tile_threads.map(self._segment_tile, tiles))

    def _waited_for(self, tiles: Iterator[SegmentedTile]) -> Iterator[SegmentedTile]:
        """Yield the same, and let the trace tell waiting from work."""
        while True:
            with self._trace.span("wait for tiles"):
                tile = next(tiles, None)
            if tile is None:
                return
            yield tile

    def _segment_tile(self, tile: Region) -> SegmentedTile:
        """Read one tile with its halo and let the network speak."""
        halo_px = self.plan.grid.halo_px
        with self._trace.span("tile"):
            rgb, missing = self.label_reader.read(self.plan.grid.tile_input(tile))
            network = self._network()
            with self._trace.span("wait for the network"):
                self._turns.acquire()
            try:
                self._before_network(tile)
                with self._trace.span("network"):
                    said = network.predict(rgb[None])
            finally:
                self._turns.release()
        self._advance(tile.area)
        return SegmentedTile(
            labels=crop_tile(said.labels[0], tile, halo_px),
            unread=None if missing is None else crop_tile(missing, tile, halo_px),
            confidence=None if said.confidence is None else crop_tile(said.confidence[0], tile, halo_px),
        )

    def _before_network(self, tile: Region) -> None:
        """Raise where a tile that has been read is not wanted any more."""

    def _network(self) -> Runtime:
        """Build the runtime when the first tile needs it: a slide without tissue never does."""
        with self._trace.span("wait for the network"), self._runtime_lock:
            if self._runtime is None:
                with self._trace.span("compile"):
                    self._runtime = runtime_for(self.plan, self._streams)
                self._turns = threading.Semaphore(self._runtime.streams)
                self._trace.note("streams", self._runtime.streams)
            return self._runtime


def runtime_for(plan: RunPlan, streams: int) -> Runtime:
    """Return the runtime of a run, built where this process keeps none like it."""
    return KEEPER.get(
        plan.choice,
        plan.model,
        plan.grid.input_shape,
        streams,
        confidence=plan.layout.confidence is not None,
    )


def streams_for(workers: int | None) -> int:
    """Return how many tiles are in the network at once."""
    return min(MOST_STREAMS, usable_cpus(), workers or MOST_STREAMS)
