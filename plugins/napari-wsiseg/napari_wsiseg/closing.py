"""Before a window with unsaved corrections closes: save, discard, or stay."""

from __future__ import annotations

from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_wsiseg.correcting import Correcting

Answer = Literal["save", "discard", "cancel"]


class ClosingGuard(QObject):
    """Looks at what a window is told, and asks before it closes."""

    def __init__(self, window: QWidget, correcting: Correcting) -> None:
        super().__init__(window)
        self._window = window
        self._correcting = correcting
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt's name)
        """Stop the closing where the user wants to stay."""
        if watched is not self._window or event.type() != QEvent.Type.Close:
            return False
        if self._correcting.is_dirty and not self._may_close():
            event.ignore()
            return True
        self._correcting.end()
        return False

    def _may_close(self) -> bool:
        answer = ask(self._window)
        if answer == "save":
            return self._correcting.attempt(self._correcting.save)
        if answer == "discard":
            return self._correcting.attempt(self._correcting.discard)
        return False


def ask(parent: QWidget) -> Answer:
    """Ask what shall become of unsaved corrections."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("wsiseg")
    box.setText("Corrections are painted that are not saved.")
    buttons = QMessageBox.StandardButton
    box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
    box.setDefaultButton(buttons.Save)
    box.setEscapeButton(buttons.Cancel)
    chosen = box.exec()
    if chosen == buttons.Save:
        return "save"
    return "discard" if chosen == buttons.Discard else "cancel"


def ask_before_closing(viewer: Any, correcting: Correcting) -> None:
    """Let a window ask. It is napari's own window, which plug-ins reach by a private name only."""
    window = viewer.window._qt_window
    correcting.guard = ClosingGuard(window, correcting)
