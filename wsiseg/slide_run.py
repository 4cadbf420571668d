"""The work on one slide: blocks of labels that a network makes, each written by one task."""

from __future__ import annotations

import threading
from dataclasses import asdict

from wsiseg.geometry import Region
from wsiseg.inference.runtime import Runtime, build_runtime
from wsiseg.plan import RunPlan
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.store import ResultStore
from wsiseg.stitching.kernel import Labels, Mask, crop_tile, stitch_block
from wsiseg.store_run import Progress, StoreRun, task_name


class SlideRun(StoreRun):
    """One slide's tasks over one store. Every method is safe to call from several threads."""

    def __init__(
        self, plan: RunPlan, store: ResultStore, journal: Journal, progress: Progress | None
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
        labels, counts = stitch_block(
            block,
            self._tiles(block),
            self._segment_tile,
            self.plan.tissue.pixels(block),
            self.plan.inside(block),
        )
        written = self.store.write("label", 0, row, column, labels)
        self.journal.done(task_name("label", (0, row, column)), bytes=written, counts=asdict(counts))

    def _segment_tile(self, tile: Region) -> tuple[Labels, Mask | None]:
        """Return one tile's labels and what of it could not be read."""
        grid = self.plan.grid
        rgb, missing = self.label_reader.read(grid.tile_input(tile))
        unread = None if missing is None else crop_tile(missing, tile, grid.halo_px)
        labels = crop_tile(self._network().predict(rgb[None])[0], tile, grid.halo_px)
        self._advance(tile.area)
        return labels, unread

    def _network(self) -> Runtime:
        """Build the runtime when the first tile needs it: a slide without tissue never does."""
        with self._runtime_lock:
            if self._runtime is None:
                self._runtime = build_runtime(self.plan.choice, self.plan.model, self.plan.grid.input_shape)
            return self._runtime
