"""Layers and the window that shows them: redrawn as tiles arrive, closed when they are removed."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_wsiseg.layers import SlideShown, shown_by

REDRAW_MS = 60
"""Between two redraws: tiles that arrive meanwhile are drawn together."""

_attached: weakref.WeakSet[Any] = weakref.WeakSet()


class Redrawer(QObject):
    """Redraws a layer in the window's thread once any thread has asked for it, but not without a pause."""

    asked = Signal()

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self._layer = weakref.ref(layer)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._earliest = 0.0
        self._timer.timeout.connect(self._redraw)
        self.asked.connect(self._begin)
        self._lock = threading.Lock()
        self._open = 0

    def ask(self) -> None:
        """Ask for a redraw, from any thread."""
        with self._lock:
            self._open += 1
        self.asked.emit()

    @property
    def is_waiting(self) -> bool:
        """Whether somebody asked for a redraw that has not been done."""
        return self._open > 0

    def _begin(self) -> None:
        if not self._timer.isActive():
            self._timer.start(max(0, round(1000 * (self._earliest - time.monotonic()))))

    def _redraw(self) -> None:
        layer = self._layer()
        with self._lock:
            self._open = 0
        if layer is None:
            return
        layer.refresh(thumbnail=False, highlight=False, extent=False)
        self._earliest = time.monotonic() + REDRAW_MS / 1000
        shown = shown_by(layer)
        if shown is not None and shown.tiles.failure is not None:
            from napari.utils.notifications import show_warning

            reason, shown.tiles.failure = shown.tiles.failure, None
            show_warning(reason)


def attach(viewer: Any) -> None:
    """Let a window look after the layers of this plug-in, those it has and those to come."""
    if viewer in _attached:
        return
    _attached.add(viewer)
    viewer.layers.events.inserted.connect(_inserted)
    viewer.layers.events.removed.connect(_removed)
    for layer in viewer.layers:
        _bind(viewer, layer)
    from napari_wsiseg.keys import bind_keys

    bind_keys(viewer)


def _inserted(event: Any) -> None:
    for viewer in list(_attached):
        if event.value in viewer.layers:
            _bind(viewer, event.value)


def _bind(viewer: Any, layer: Any) -> None:
    shown = shown_by(layer)
    if shown is None or shown.tiles.on_loaded is not None:
        return
    redrawer = Redrawer(layer)
    shown.redrawer = redrawer  # lives as long as the layer
    shown.tiles.on_loaded = redrawer.ask
    if isinstance(shown, SlideShown):
        viewer.canvas.overlays.scale_bar.visible = True


def _removed(event: Any) -> None:
    shown = shown_by(event.value)
    if shown is not None:
        shown.close()
