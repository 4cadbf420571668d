"""The work on one slide: blocks of labels that a network makes, each written by one task."""

from __future__ import annotations

import threading
from dataclasses import asdict

from wsiseg.geometry import Region
from wsiseg.inference.runtime import Runtime, build_runtime
from wsiseg.plan import RunPlan
from wsiseg.pyramid.journal import TaskLog
from wsiseg.pyramid.store import ResultStore
from wsiseg.stitching.kernel import SegmentedTile, crop_tile, stitch_block
from wsiseg.store_run import Progress, StoreRun


class SlideRun(StoreRun):
    """One slide's tasks over one store. Every method is safe to call from several threads."""

    def __init__(
        self, plan: RunPlan, store: ResultStore, journal: TaskLog, progress: Progress | None
    ) -> None:
        super().__init__(plan, store, journal, progress)
        self.plan = plan
        self._runtime: Runtime | None = None
        self._runtime_lock = threading.Lock()

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
        made = stitch_block(
            block,
            self._tiles(block),
            self._segment_tile,
            self.plan.tissue.pixels(block),
            self.plan.inside(block),
            with_confidence=self.plan.layout.confidence is not None,
        )
        self._write_labels((0, row, column), made.labels, made.confidence, counts=asdict(made.counts))

    def _segment_tile(self, tile: Region) -> SegmentedTile:
        """Read one tile with its halo and let the network speak."""
        halo_px = self.plan.grid.halo_px
        rgb, missing = self.label_reader.read(self.plan.grid.tile_input(tile))
        said = self._network().predict(rgb[None])
        self._advance(tile.area)
        return SegmentedTile(
            labels=crop_tile(said.labels[0], tile, halo_px),
            unread=None if missing is None else crop_tile(missing, tile, halo_px),
            confidence=None if said.confidence is None else crop_tile(said.confidence[0], tile, halo_px),
        )

    def _network(self) -> Runtime:
        """Build the runtime when the first tile needs it: a slide without tissue never does."""
        with self._runtime_lock:
            if self._runtime is None:
                self._runtime = build_runtime(
                    self.plan.choice,
                    self.plan.model,
                    self.plan.grid.input_shape,
                    confidence=self.plan.layout.confidence is not None,
                )
            return self._runtime
