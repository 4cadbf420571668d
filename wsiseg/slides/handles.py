"""OpenSlide handles: shared by threads, replaced after an error, closed when their last reader is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class HandlePool:
    """At most one shared handle, plus one per thread that is replacing a dead one.

    An OpenSlide handle that has raised is dead, also for the other threads that are reading from it.
    A read that failed on a shared handle may therefore be no fault of its own region: it is repeated
    on a handle that nobody else uses, and only the failure of that one counts.
    """

    def __init__(self, opener: Callable[[], Any]) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._shared: Any = None
        self._readers: dict[int, int] = {}
        self._retired: set[int] = set()
        self._closed = False

    def call(self, read: Callable[[Any], Any], errors: tuple[type[Exception], ...]) -> Any:
        """Return read(handle); raises one of `errors` only where it fails on a handle of its own."""
        handle = self._borrow()
        if handle is not None:
            try:
                return read(handle)
            except errors:
                self._retire(handle)
            finally:
                self._give_back(handle)
        own = self._opener()
        try:
            result = read(own)
        except BaseException:
            own.close()
            raise
        self._offer(own)
        return result

    def close(self) -> None:
        """Close the shared handle as soon as nobody reads from it."""
        with self._lock:
            self._closed = True
            handle, self._shared = self._shared, None
            idle = handle is not None and not self._readers.get(id(handle))
            if handle is not None and not idle:
                self._retired.add(id(handle))
        if idle:
            handle.close()

    def _borrow(self) -> Any:
        with self._lock:
            if self._shared is not None:
                self._readers[id(self._shared)] = self._readers.get(id(self._shared), 0) + 1
            return self._shared

    def _give_back(self, handle: Any) -> None:
        with self._lock:
            left = self._readers[id(handle)] - 1
            if left:
                self._readers[id(handle)] = left
                return
            del self._readers[id(handle)]
            dead = id(handle) in self._retired
            self._retired.discard(id(handle))
        if dead:
            handle.close()

    def _retire(self, handle: Any) -> None:
        with self._lock:
            self._retired.add(id(handle))
            if self._shared is handle:
                self._shared = None

    def _offer(self, handle: Any) -> None:
        with self._lock:
            keep = self._shared is None and not self._closed
            if keep:
                self._shared = handle
        if not keep:
            handle.close()
