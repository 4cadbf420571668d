"""Work outside of the window's thread, its outcome inside of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from wsiseg.viewing.helper import reason_of

_running: set[Task] = set()


class Task(QObject):
    """One piece of work in a thread of its own."""

    done = Signal(object)
    failed = Signal(str)
    _ended = Signal()

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work
        self._ended.connect(self._let_go)
        self.thread_of_work = threading.Thread(target=self._run, name="wsiseg task", daemon=True)

    def start(self) -> None:
        """Begin."""
        _running.add(self)
        self.thread_of_work.start()

    def _run(self) -> None:
        try:
            self.done.emit(self._work())
        except Exception as error:  # a thread has nobody else to tell
            self.failed.emit(reason_of(error))
        finally:
            self._ended.emit()

    def _let_go(self) -> None:
        _running.discard(self)


def in_background(
    work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[str], None] | None = None
) -> Task:
    """Do work in a thread, then call `done` with what it returned, or `failed` with why, in the window's."""
    task = Task(work)
    task.done.connect(done)
    task.failed.connect(failed or show_failure)
    task.start()
    return task


def show_failure(reason: str) -> None:
    """Show a reason in napari's notifications."""
    from napari.utils.notifications import show_error

    show_error(reason)
