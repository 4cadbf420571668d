"""What a live run is told: where the window looks, once it is at rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_wsiseg.layers import SlideShown, shown_by
from wsiseg.geometry import Region
from wsiseg.viewing.looked_at import ViewL0

REST_MS = 80
"""A view that has not moved for so long is at rest."""


class Watch(QObject):
    """Tells `look` what a window shows of a slide, and None as soon as it moves."""

    def __init__(self, viewer: Any, slide_layer: Any, look: Callable[[ViewL0 | None], None]) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer = slide_layer
        self._look = look
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self._at_rest)
        camera = viewer.scene.camera.events
        self._events = [camera.center, camera.zoom, viewer.canvas.events.size, viewer.dims.events.ndisplay]
        for event in self._events:
            event.connect(self._moved)
        self._at_rest()

    def end(self) -> None:
        """Watch no more."""
        self._timer.stop()
        for event in self._events:
            event.disconnect(self._moved)

    def _moved(self, event: Any = None) -> None:
        if not self._timer.isActive():
            self._look(None)
        self._timer.start()

    def _at_rest(self) -> None:
        self._look(view_of(self._viewer, self._layer))


def view_of(viewer: Any, slide_layer: Any) -> ViewL0 | None:
    """Return what a window shows of a slide and its cursor's place; None in 3D."""
    if viewer.dims.ndisplay != 2:
        return None
    shown: SlideShown = shown_by(slide_layer)
    x_um, y_um = shown.um_per_px
    camera = viewer.scene.camera
    height, width = (side / camera.zoom for side in viewer.canvas.size)
    centre_y, centre_x = camera.center[-2:]
    left, top = round((centre_x - width / 2) / x_um), round((centre_y - height / 2) / y_um)
    region_l0 = Region(left, top, round(width / x_um), round(height / y_um))
    y, x = viewer.cursor.position[-2:]
    if abs(y - centre_y) > height / 2 or abs(x - centre_x) > width / 2:
        y, x = centre_y, centre_x
    return region_l0, (x / x_um, y / y_um)
