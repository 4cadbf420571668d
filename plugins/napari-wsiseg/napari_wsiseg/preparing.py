"""The helper gets ready while a slide is only looked at: libraries loaded, the chosen network compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_wsiseg.layers import SlideShown, shown_by
from wsiseg.errors import WsisegError

if TYPE_CHECKING:
    from napari_wsiseg.run_dock import RunDock

REST_MS = 1000
"""After something was chosen: the first picture, and who is still typing, go first."""


class Preparing(QObject):
    """Prepares what a panel has chosen, once it has been chosen for some time."""

    def __init__(self, dock: RunDock) -> None:
        super().__init__()
        self._dock = dock
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self._prepare)

    def begin(self, _: Any = None) -> None:
        """Say that something was chosen."""
        self._timer.start()

    def end(self) -> None:
        """Prepare nothing more."""
        self._timer.stop()

    def _prepare(self) -> None:
        dock = self._dock
        try:
            shown: SlideShown = shown_by(dock.slide_layer())
            options = dock.options()
        except WsisegError:  # whoever runs it will be told
            return
        if not shown.tiles.is_idle:
            self._timer.start()
        elif dock.run is None:
            dock.helper.prepare(shown.slide.source, dock.output.text(), options)
