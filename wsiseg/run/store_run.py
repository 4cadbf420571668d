"""The tasks that write one store: blocks of labels, whoever makes them, the image, and the levels of both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import ClassMap
from wsiseg.exports.summary import composition, ratios, total_counts
from wsiseg.geometry import Region, ceil_div
from wsiseg.inference.runtime import usable_cpus
from wsiseg.pyramid.journal import TaskLog
from wsiseg.pyramid.levels import half_shape, halve_confidence, halve_image, halve_labels
from wsiseg.pyramid.store import Kind, ResultStore, StoreLayout
from wsiseg.slides.slide import Slide
from wsiseg.stitching.graph import Cell, pyramid_graph
from wsiseg.stitching.kernel import Labels, Values
from wsiseg.tiling.frame import Frame, FrameReader
from wsiseg.tiling.grid import TileGrid

Json = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with (label pixels done, label pixels in all) after every tile, one call at a time."""

MOST_WORKERS = 8
UNREAD_HATCH = ((255, 0, 255), (90, 0, 90))
HATCH_PX = 8


class StorePlan(Protocol):
    """What a run over a store has to know; `RunPlan` and `ImportPlan` are such plans."""

    @property
    def slide(self) -> Slide:
        """The slide under the labels."""

    @property
    def frame(self) -> Frame:
        """Of the label map."""

    @property
    def image_frame(self) -> Frame:
        """Of the stored image."""

    @property
    def grid(self) -> TileGrid:
        """Blocks of the label map."""

    @property
    def roi(self) -> Region | None:
        """What is looked at, in label pixels; None for all."""

    @property
    def layout(self) -> StoreLayout:
        """Shape of the store."""

    @property
    def outside(self) -> tuple[int, int, int]:
        """RGB beyond the slide's edges."""

    @property
    def class_map(self) -> ClassMap:
        """Classes of the labels."""

    @property
    def is_photo(self) -> bool:
        """Whether sizes are in pixels, not micrometres."""

    @property
    def pixel_mm2(self) -> float | None:
        """Area of a label pixel; None for a photo."""

    @property
    def record(self) -> Json:
        """The run record: everything that a byte of the result depends on."""

    @property
    def warnings(self) -> list[str]:
        """What a user should know, one line each."""


def task_name(kind: Kind, cell: Cell) -> str:
    """Return the journal's name of the task that writes a cell."""
    return f"{kind}/{cell[0]}/{cell[1]}/{cell[2]}"


class StoreRun:
    """One store's tasks. Every method is safe to call from several threads; a subclass makes the labels."""

    def __init__(
        self, plan: StorePlan, store: ResultStore, journal: TaskLog, progress: Progress | None
    ) -> None:
        self.target = plan
        self.store = store
        self.journal = journal
        self.label_reader = FrameReader(plan.slide, plan.frame, plan.outside)
        self._image_reader = FrameReader(plan.slide, plan.image_frame, plan.outside)
        self._trace = plan.slide.trace
        self._progress = progress
        self._progress_lock = threading.Lock()
        self._done_px = 0
        self._total_px = 0

    def compute(self, workers: int | None) -> None:
        """Compute with dask's threads what the journal does not have yet.

        An error in one task ends the run once the tasks in work have ended; what they wrote counts.
        """
        import dask
        from dask.threaded import get

        tasks = self.tasks(self.do)
        count = workers or min(MOST_WORKERS, max(2, usable_cpus()))
        pool = ThreadPoolExecutor(count, thread_name_prefix="wsiseg")
        try:
            # By function: for the name "threads" dask imports distributed, to ask whether it is there.
            dask.compute(*tasks, scheduler=get, pool=pool, optimize_graph=False)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def tasks(self, do: Callable[[Kind, Cell], Any], name: str = "") -> list[Any]:
        """Return what the journal does not have yet as a dask graph; `do` does one cell, here or elsewhere.

        `name` sets the keys apart from those of other runs.
        """
        layout, grid = self.target.layout, self.target.grid
        blocks = self._wanted_blocks()
        todo = [at for at in blocks if task_name("label", (0, *at)) not in self.journal.tasks]
        self._total_px = sum(self._work_px(grid.block(*at)) for at in todo)
        image_area = self._in_image(self.target.roi or grid.region, 0)
        side = layout.cell_px("image")
        image_cells = {
            (row, column)
            for row in range(image_area.y // side, ceil_div(image_area.bottom, side))
            for column in range(image_area.x // side, ceil_div(image_area.right, side))
        }
        return self._graph("label", blocks, do, name) + self._graph("image", image_cells, do, name)

    def do(self, kind: Kind, cell: Cell) -> None:
        """Make and write one cell; the finer ones that it is made of have to be in the store."""
        level, row, column = cell
        if level:
            self._halved_cell(kind, cell)
        elif kind == "label":
            self._label_block(row, column)
        else:
            self._image_cell(row, column)

    def summarise(self) -> Json:
        """Return areas and composition, from what the journal counted."""
        counts = total_counts(entry["counts"] for entry in self.journal.tasks.values() if "counts" in entry)
        whole = self.target.grid.region.area
        seen = (
            sum(counts["predicted"].values())
            + counts["no_tissue"]
            + counts["unread"]
            + counts["not_analysed"]
        )
        counts["not_analysed"] += whole - seen
        areas, rows, unread_share = composition(self.target.class_map, counts, self.target.pixel_mm2)
        return {
            "areas": areas,
            "classes": rows,
            "ratios": ratios(self.target.class_map, counts["predicted"]),
            "unread_share": unread_share,
        }

    def picture(self, longest_px: int) -> tuple[NDArray[np.uint8], Labels, float | None]:
        """Return what was analysed: RGB (rows, columns, 3), labels (rows, columns), um per RGB pixel.

        Taken from the stored levels nearest to `longest_px`; of a small area, from the slide itself.
        """
        area = self.target.roi or self.target.grid.region
        labels = self._stored("label", area, longest_px)[0]
        if (
            max(area.shape) <= 4 * longest_px
            and max(area.shape) > max(self._in_image(area, 0).shape) < longest_px
        ):
            return (
                self.label_reader.read(area)[0],
                labels,
                None if self.target.is_photo else self.target.frame.mpp[0],
            )
        pixels, level = self._stored("image", area, longest_px)
        mpp = None if self.target.is_photo else self.target.image_frame.mpp[0] * 2**level
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)), labels, mpp

    def _stored(self, kind: Kind, area: Region, longest_px: int) -> tuple[NDArray[np.uint8], int]:
        """Return an area (label pixels) from the coarsest level of `longest_px` or more, and that level."""
        levels = self.target.layout.levels(kind)
        regions = [
            _halved(area, level, levels) if kind == "label" else self._in_image(area, level)
            for level in range(len(levels))
        ]
        level = max((number for number, at in enumerate(regions) if max(at.shape) >= longest_px), default=0)
        return self.store.read(kind, level, regions[level]), level

    def _in_image(self, area: Region, level: int) -> Region:
        """Return an area of the label map in the pixels of a stored image level."""
        label, image = self.target.frame, self.target.image_frame
        ratio = (label.factor_l0[0] / image.factor_l0[0], label.factor_l0[1] / image.factor_l0[1])
        x, y = int(area.x * ratio[0]), int(area.y * ratio[1])
        base = Region(x, y, ceil(area.right * ratio[0]) - x, ceil(area.bottom * ratio[1]) - y)
        return _halved(base, level, self.target.layout.image_levels)

    def _graph(
        self, kind: Kind, cells: set[tuple[int, int]], do: Callable[[Kind, Cell], Any], name: str
    ) -> list[Any]:
        done = {
            (int(level), int(row), int(column))
            for of, level, row, column in (task.split("/") for task in self.journal.tasks)
            if of == kind
        }
        layout = self.target.layout
        return pyramid_graph(
            name + kind, layout.levels(kind), layout.cell_px(kind), cells, done, partial(do, kind)
        )

    def _wanted_blocks(self) -> set[tuple[int, int]]:
        """Return (row, column) of the blocks to write; the others stay 255."""
        grid, roi = self.target.grid, self.target.roi
        return {at for at in grid.blocks() if roi is None or grid.block(*at).intersect(roi).area}

    def _work_px(self, block: Region) -> int:
        """Return the label pixels that `_label_block` will report for a block."""
        return block.area

    def _label_block(self, row: int, column: int) -> None:
        """Make and write one block of label level 0."""
        raise NotImplementedError

    def _advance(self, pixels: int) -> None:
        """Report progress."""
        if self._progress is not None:
            with self._progress_lock:
                self._done_px += pixels
                self._progress(self._done_px, self._total_px)

    def _image_cell(self, row: int, column: int) -> None:
        """Read and write one cell of the finest stored image level; what is unread is hatched."""
        at = self.target.layout.cell("image", 0, row, column)
        with self._trace.span("image"):
            rgb, unread = self._image_reader.read(at)
        if unread is not None:
            rows, columns = np.ogrid[at.y : at.bottom, at.x : at.right]
            stripe = ((rows + columns) // HATCH_PX) % 2
            rgb[unread] = np.array(UNREAD_HATCH, np.uint8)[stripe[unread]]
        self._write_image((0, row, column), rgb.transpose(2, 0, 1))

    def _halved_cell(self, kind: Kind, cell: Cell) -> None:
        """Make one cell of a coarser level from the finer level in the store."""
        level, row, column = cell
        layout = self.target.layout
        at = layout.cell(kind, level, row, column)
        rows, columns = layout.levels(kind)[level - 1]
        under = Region(2 * at.x, 2 * at.y, 2 * at.width, 2 * at.height).intersect(Region(0, 0, columns, rows))
        with self._trace.span("halve"):
            if kind == "image":
                self._write_image(cell, self._half(kind, level - 1, under, halve_image))
                return
            values = None
            if layout.confidence:
                values = self._half("confidence", level - 1, under, halve_confidence)
            self._write_labels(cell, self._half(kind, level - 1, under, halve_labels), values)

    def _half(self, kind: Kind, level: int, under: Region, halve: Callable[[Labels], Labels]) -> Labels:
        """Return half of a rectangle of one level; what has one value keeps it, and is not read."""
        value = self.store.plain_value(kind, level, under)
        if value is None:
            return halve(self.store.read(kind, level, under))
        return np.full(((3,) if kind == "image" else ()) + half_shape(under.shape), value, np.uint8)

    def _write_image(self, cell: Cell, pixels: NDArray[np.uint8]) -> None:
        """Write one cell of the image (3, rows, columns)."""
        with self._trace.span("write"):
            written = self.store.write("image", *cell, pixels)
            self.journal.done(task_name("image", cell), bytes=written)

    def _write_labels(
        self, cell: Cell, labels: Labels, confidence: Values | None = None, **facts: Any
    ) -> None:
        """Write one cell of labels, and of confidences where they are asked for, as one task."""
        with self._trace.span("write"):
            written = self.store.write("label", *cell, labels)
            if confidence is not None:
                written += self.store.write("confidence", *cell, confidence)
            self.journal.done(task_name("label", cell), bytes=written, **facts)


def _halved(area: Region, level: int, levels: list[tuple[int, int]]) -> Region:
    """Return an area of level 0 in the pixels of a level, clipped to it."""
    x, y = area.x >> level, area.y >> level
    right, bottom = ceil_div(area.right, 2**level), ceil_div(area.bottom, 2**level)
    rows, columns = levels[level]
    return Region(x, y, right - x, bottom - y).intersect(Region(0, 0, columns, rows))
