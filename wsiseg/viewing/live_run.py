"""A run that computes where somebody looks. Tiles are shown at once; whole blocks go into the store.

What is in view is seen first by a few passes that lie as the view does. Their labels are for the eye alone,
until those of the grid's tiles take their place.

A tile is what the network takes, and soon there; a block is what the store takes. So the tiles of a block
that is not whole are kept in memory, until the view has moved on and others need the place. The store holds
what a run of the whole slide would have written, and such a run does the rest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from wsiseg.geometry import Region
from wsiseg.inference.runtime import usable_cpus
from wsiseg.pyramid.journal import TaskLog
from wsiseg.pyramid.store import ResultStore
from wsiseg.run.plan import RunPlan
from wsiseg.run.slide_run import READING_AHEAD, SlideRun, streams_for
from wsiseg.run.store_run import MOST_WORKERS, task_name
from wsiseg.stitching.kernel import Labels, SegmentedTile, stitch_block
from wsiseg.viewing.growing import Block, GrowingLevels
from wsiseg.viewing.looked_at import View, block_of, blocks_in, passes_over, tiles_of

MOST_PARTS = 16
"""Blocks kept that are not whole: about 10 MB each, twice that with confidences."""


class _OutOfViewError(Exception):
    """The view has moved on while a tile was read."""


@dataclass(eq=False)
class _Part:
    """A block that is not whole."""

    done: set[Region] = field(default_factory=set)
    """Tiles that are shown."""
    made: dict[Region, SegmentedTile] = field(default_factory=dict)
    """What the network said of them."""


class LiveRun(SlideRun):
    """Computes the tiles of a view. `look` and `close` are safe to call from any thread."""

    def __init__(
        self,
        plan: RunPlan,
        store: ResultStore,
        journal: TaskLog,
        levels: GrowingLevels,
        on_part: Callable[[Region], None],
    ) -> None:
        """`levels` get the tiles of blocks that are not whole; `on_part` is told where they have changed."""
        super().__init__(plan, store, journal, None)
        self._levels = levels
        self._on_part = on_part
        self._changed = threading.Condition()
        self._passes: deque[Region] = deque()
        self._wanted: deque[Region] = deque()
        self._shown: set[Block] = set()
        """Blocks of the view."""
        self._in_work: set[Region] = set()
        self._parts: dict[Block, _Part] = {}
        self._closed = False

    def look(self, view: View | None) -> None:
        """Say what is in view; what was wanted before and is not in work yet is dropped."""
        grid = self.plan.grid
        tiles = [] if view is None else tiles_of(view, grid)
        shown = {block_of(tile, grid) for tile in tiles}
        if view is not None:
            shown |= set(blocks_in(view.region.intersect(grid.region), grid))
        with self._changed:
            self._shown = shown
            self._wanted = deque(tile for tile in tiles if not self._is_done(tile))
            self._passes = deque(passes_over(view, grid, list(self._wanted)) if view and tiles else ())
            for block in shown & self._parts.keys():
                self._parts[block] = self._parts.pop(block)  # the last looked at stand last
            spare = [block for block in self._parts if block not in shown]
            dropped = spare[: max(0, len(self._parts) - MOST_PARTS)]
            for block in dropped:
                del self._parts[block]
                self._levels.drop_part(block)
            self._changed.notify_all()
        for block in dropped:
            self._on_part(grid.block(*block))

    def close(self) -> None:
        """Let `compute` return once the tiles in work have ended."""
        with self._changed:
            self._closed = True
            self._passes.clear()
            self._wanted.clear()
            self._changed.notify_all()

    def compute(self, workers: int | None) -> None:
        """Work on what is looked at until `close`, or until a task fails."""
        self._streams = live_streams(workers)
        self._network()  # ready before it is needed
        count = min(self._streams + READING_AHEAD, workers or MOST_WORKERS)
        with ThreadPoolExecutor(count, thread_name_prefix="wsiseg-live") as threads:
            tasks = [threads.submit(self._work) for _ in range(count)]
            wait(tasks)
        for task in tasks:
            task.result()

    def _work(self) -> None:
        try:
            while (work := self._next()) is not None:
                with suppress(_OutOfViewError):
                    work()
        except BaseException:
            self.close()  # the others end too
            raise

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if self._passes:
                    return partial(self._do_pass, self._passes.popleft())
                while self._wanted:
                    tile = self._wanted.popleft()
                    if tile not in self._in_work and not self._is_done(tile):
                        self._in_work.add(tile)
                        return partial(self._do_tile, tile)
                self._changed.wait()
        return None

    def _is_done(self, tile: Region) -> bool:
        block = block_of(tile, self.plan.grid)
        if task_name("label", (0, *block)) in self.journal.tasks:
            return True
        part = self._parts.get(block)
        return part is not None and tile in part.done

    def _do_pass(self, at: Region) -> None:
        """Show labels of a part of the view where there are none."""
        labels = self._stitch(at, lambda tiles: map(self._segment_tile, tiles))
        grid = self.plan.grid
        for block in blocks_in(at, grid):
            part = at.intersect(grid.block(*block))
            with self._changed:
                if task_name("label", (0, *block)) in self.journal.tasks:
                    continue
                self._parts.setdefault(block, _Part())
                self._levels.show_part(part, labels[part.slices_in(at)], only_where_empty=True)
            self._on_part(part)

    def _do_tile(self, tile: Region) -> None:
        """Compute a tile and show it; store its block where that is whole now."""
        try:
            self._show_tile(tile)
        finally:
            with self._changed:
                self._in_work.discard(tile)

    def _show_tile(self, tile: Region) -> None:
        at = block_of(tile, self.plan.grid)
        made: dict[Region, SegmentedTile] = {}

        def segment(tiles: list[Region]) -> Iterable[SegmentedTile]:
            for each in tiles:
                made[each] = self._segment_tile(each)
                yield made[each]

        labels = self._stitch(tile, segment)
        with self._changed:
            part = self._parts.setdefault(at, _Part())
            part.done.add(tile)
            part.made |= made
            is_whole = len(part.done) == len(list(self.plan.grid.tiles(self.plan.grid.block(*at))))
            self._levels.show_part(tile, labels)
        self._on_part(tile)
        if is_whole:
            self._label_block(*at)
            with self._changed:
                self._parts.pop(at, None)

    def _stitch(self, at: Region, segment: Callable[[list[Region]], Iterable[SegmentedTile]]) -> Labels:
        """Return the labels of a rectangle no larger than a tile, the rules applied."""
        plan = self.plan
        is_wanted = plan.tissue.any_in(at)
        return stitch_block(
            at, [at] if is_wanted else [], segment, plan.tissue.pixels(at), plan.inside(at)
        ).labels

    def _before_network(self, tile: Region) -> None:
        """See `SlideRun`; what has begun in the network is finished, for that is most of its work."""
        with self._changed:
            if self._closed or self._shown.isdisjoint(blocks_in(tile, self.plan.grid)):
                raise _OutOfViewError

    def _segment(self, tiles: list[Region]) -> Iterable[SegmentedTile]:
        """Give what the network said of a block's tiles; ask it again where that was let go."""
        for tile in tiles:
            with self._changed:
                part = self._parts.get(block_of(tile, self.plan.grid))
                made = None if part is None else part.made.get(tile)
            yield self._segment_tile(tile) if made is None else made


def live_streams(workers: int | None) -> int:
    """Return how many tiles are in the network at once: two CPUs for each, so that the first comes soon."""
    return max(1, min(streams_for(workers), usable_cpus() // 2))
