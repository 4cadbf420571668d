"""Two results of a window compared: a layer of what differs, and agreement counted in the background."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_wsiseg.background import Task, in_background, show_failure
from napari_wsiseg.camera import go_to
from napari_wsiseg.correction_layers import CorrectionsShown
from napari_wsiseg.layers import KEY, LabelsShown, colormap, placed, shown_by
from napari_wsiseg.tiles import TiledLevels
from wsiseg.class_map import RESERVED_NAMES
from wsiseg.errors import UsageError
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region
from wsiseg.scoring.agreement import BLOCK_PX, Agreement, Pair, compare
from wsiseg.viewing.difference import CLASSES, SAME, DifferenceLevels, largest_difference

OPACITY = 0.9


@dataclass(eq=False)
class DifferenceShown:
    """What is behind a difference layer."""

    tiles: TiledLevels
    pair: Pair
    redrawer: Any = None
    """What draws the layer anew in its window."""

    @property
    def um_per_px(self) -> tuple[float, float]:
        """(x, y) world units per pixel of the pair's grid."""
        return self.pair.mpp or (1.0, 1.0)

    def close(self) -> None:
        """Stop reading."""
        self.tiles.close()


class Comparing(QObject):
    """The comparison of one window; the next replaces it."""

    progressed = Signal(float)
    """Part done, 0 to 1."""
    counted = Signal(object)
    """Agreement."""
    failed = Signal(str)
    ended = Signal()
    """Counted, cancelled or failed."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.layer: Any = None
        self.agreement: Agreement | None = None
        self._stop: threading.Event | None = None
        self._task: Task | None = None
        self._visited = -1

    def comparable_layers(self) -> list[Any]:
        """Return the layers that can be compared: results, imported annotations, saved corrections."""
        viewer = self._viewer()
        layers = [] if viewer is None else list(viewer.layers)
        return [layer for layer in layers if store_behind(layer) is not None]

    def begin(self, first: Any, second: Any) -> None:
        """Show what differs between two layers, and count. Raises WsisegError for what cannot be compared."""
        one, other = store_behind(first), store_behind(second)
        if one is None or other is None or first is second:
            raise UsageError("choose two results, or a result and annotations: drop both onto the window")
        pair = Pair(one, other)
        self.cancel()
        viewer = self._viewer()
        if self.layer is not None and self.layer in viewer.layers:
            viewer.layers.remove(self.layer)
        self.layer = viewer.add_labels(
            **_difference_layer(pair), name=f"difference: {first.name} | {second.name}"
        )
        self.agreement, self._visited = None, -1
        stop = self._stop = threading.Event()

        def on_block(done: int, total: int) -> bool:
            self.progressed.emit(done / total)
            return not stop.is_set()

        self._task = Task(lambda: compare(pair, on_block))
        self._task.done.connect(lambda found: self._counted(found, stop))
        self._task.failed.connect(self._failed)
        self._task.start()

    def cancel(self) -> None:
        """Stop counting, and wait until it has: at most for one block."""
        if self._stop is not None:
            self._stop.set()
        if self._task is not None and self._task.thread_of_work.is_alive():
            self._task.thread_of_work.join()

    def next_difference(self) -> Task | None:
        """Go to the block in which most differs, then to the next; return the task that looks for it."""
        viewer, found = self._viewer(), self.agreement
        if found is None or self.layer is None or self.layer not in viewer.layers:
            show_failure("nothing is compared yet: press Compare, and let it count")
            return None
        blocks = sorted(found.differing, key=lambda at: (-found.differing[at], at))
        if not blocks:
            viewer.status = "nothing differs where both have a class"
            return None
        self._visited = (self._visited + 1) % len(blocks)
        row, column = blocks[self._visited]
        shown: DifferenceShown = shown_by(self.layer)
        block = Region(column * BLOCK_PX, row * BLOCK_PX, BLOCK_PX, BLOCK_PX).intersect(shown.pair.whole)
        number = f"difference {self._visited + 1} of {len(blocks)}: {found.differing[row, column]:,} px in it"

        def go(box: Region | None) -> None:
            go_to(viewer, box or block, shown.um_per_px)
            viewer.status = number

        return in_background(lambda: largest_difference(shown.pair, block), go)

    def _counted(self, found: Agreement | None, stop: threading.Event) -> None:
        if stop is self._stop:
            self.agreement = found
            if found is not None:
                self.counted.emit(found)
            self.ended.emit()

    def _failed(self, reason: str) -> None:
        self.failed.emit(reason)
        self.ended.emit()


def store_behind(layer: Any) -> LabelStore | None:
    """Return the finished store that a layer shows, None for other layers."""
    shown = shown_by(layer)
    return shown.store if isinstance(shown, LabelsShown | CorrectionsShown) else None


def _difference_layer(pair: Pair) -> dict[str, Any]:
    shown = DifferenceShown(TiledLevels(DifferenceLevels(pair)), pair)
    names = {item.id: item.name for item in CLASSES.classes} | RESERVED_NAMES
    return {
        "data": shown.tiles.arrays,
        "multiscale": True,
        "opacity": OPACITY,
        "colormap": colormap(CLASSES, {SAME: 0.0}),
        "features": {"index": list(names), "class": list(names.values())},
        "metadata": {KEY: shown},
        **placed(shown.um_per_px, in_um=pair.mpp is not None),
    }


_of_windows: weakref.WeakKeyDictionary[Any, Comparing] = weakref.WeakKeyDictionary()


def comparing_of(viewer: Any) -> Comparing:
    """Return what compares in a window; made where there is none."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    found = _of_windows.get(viewer)
    if found is None:
        found = _of_windows[viewer] = Comparing(viewer)
    return found
