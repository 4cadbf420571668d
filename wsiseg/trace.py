"""Where the time goes: spans of each thread, added up by what they stand in, in bounded memory.

A slide carries the trace of the run that reads it (`slide.trace`); it is NO_TRACE, which does nothing,
unless somebody wants to know. Method of the picture: Gregg, The Flame Graph, CACM 59(6), 2016.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

Path = tuple[str, ...]
"""Stages from the outermost to the innermost."""
BINS = 256
"""Of the timeline; where a run outlasts them, they are joined in pairs and each takes twice as long."""
FIRST_BIN_S = 0.05


class NoTrace:
    """What a slide carries when nobody looks."""

    def span(self, stage: str) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return _NOTHING

    def decoded(self, tile: Hashable) -> None:
        """Forget it."""

    def note(self, name: str, value: int) -> None:
        """Forget it."""


_NOTHING: AbstractContextManager[object] = nullcontext()
NO_TRACE = NoTrace()


class Trace(NoTrace):
    """Time by stage, of all threads that come by."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._local = threading.local()
        self._threads: list[_Thread] = []
        self._decodes = 0
        self._tiles: set[Hashable] = set()
        self._lock = threading.Lock()
        self._notes: dict[str, int] = {}

    def span(self, stage: str) -> AbstractContextManager[object]:
        """Return a context; the time in it belongs to `stage`, less that of the spans inside."""
        thread: _Thread | None = getattr(self._local, "thread", None)
        if thread is None:
            thread = self._local.thread = _Thread(self.started)
            with self._lock:
                self._threads.append(thread)
        return _Span(thread, stage)

    def decoded(self, tile: Hashable) -> None:
        """Count a tile of the source that was decoded."""
        with self._lock:
            self._decodes += 1
            self._tiles.add(tile)

    def note(self, name: str, value: int) -> None:
        """Keep a number for the account."""
        self._notes[name] = value

    def account(self) -> dict[str, Any]:
        """Return the account as JSON: seconds are those of threads, so they may add up to more than lasted.

        `stages` by innermost stage, `paths` by all of them ("tile;read;decode"), `timeline` the seconds of
        each stage in each of the bins. Call it when the threads have ended.
        """
        lasted = time.perf_counter() - self.started
        paths: dict[Path, list[float]] = {}
        width = max((thread.bin_s for thread in self._threads), default=FIRST_BIN_S)
        timeline: dict[str, list[float]] = {}
        for thread in self._threads:
            while thread.bin_s < width:
                thread.fold()
            for path, (seconds, calls) in thread.paths.items():
                mine = paths.setdefault(path, [0.0, 0])
                mine[0] += seconds
                mine[1] += calls
            for stage, bins in thread.bins.items():
                total = timeline.setdefault(stage, [0.0] * BINS)
                timeline[stage] = [a + b for a, b in zip(total, bins, strict=True)]
        stages: dict[str, list[float]] = {}
        for path, (seconds, calls) in paths.items():
            mine = stages.setdefault(path[-1], [0.0, 0])
            mine[0] += seconds
            mine[1] += calls
        used = min(BINS, int(lasted / width) + 1)
        return {
            "seconds": round(lasted, 3),
            "threads": len(self._threads),
            "stages": {
                name: {"seconds": round(seconds, 4), "calls": int(calls)}
                for name, (seconds, calls) in sorted(stages.items(), key=lambda item: -item[1][0])
            },
            "network": self._network(timeline.get("network", []), width),
            "paths": {";".join(path): round(value[0], 4) for path, value in sorted(paths.items())},
            "source_tiles": {
                "decoded": self._decodes,
                "distinct": len(self._tiles),
                "times_each": round(self._decodes / len(self._tiles), 3) if self._tiles else None,
            },
            "timeline": {
                "bin_seconds": width,
                "stages": {
                    name: [round(seconds, 4) for seconds in timeline[name][:used]]
                    for name in sorted(timeline)
                },
            },
        }

    def _network(self, bins: list[float], width: float) -> dict[str, float | None]:
        """Return how busy the network's streams were, from the first tile to the last."""
        streams = self._notes.get("streams", 1)
        at_work = [number for number, seconds in enumerate(bins) if seconds]
        # The first and the last bin are not all its own.
        inner = bins[at_work[0] + 1 : at_work[-1]] if at_work else []
        busy = round(sum(inner) / (len(inner) * width * streams), 4) if inner else None
        return {"streams": streams, "busy": busy}


class _Thread:
    """One thread's spans; nobody else writes here, so nothing is locked."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.path: Path = ()
        self.since = 0.0
        self.paths: dict[Path, list[float]] = {}
        self.bins: dict[str, list[float]] = {}
        self.bin_s = FIRST_BIN_S

    def turn(self, path: Path, calls: int) -> None:
        """Give the time since the last turn to the present path, and go on in another one."""
        now = time.perf_counter()
        if self.path:
            entry = self.paths.setdefault(self.path, [0.0, 0])
            entry[0] += now - self.since
            self._fill(self.path[-1], self.since - self.started, now - self.started)
        if calls:
            self.paths.setdefault(path, [0.0, 0])[1] += calls
        self.path, self.since = path, now

    def _fill(self, stage: str, begin: float, end: float) -> None:
        while end >= self.bin_s * BINS:
            self.fold()
        bins = self.bins.setdefault(stage, [0.0] * BINS)
        first, last = int(begin / self.bin_s), int(end / self.bin_s)
        for number in range(first, last + 1):
            low, high = number * self.bin_s, (number + 1) * self.bin_s
            bins[number] += max(0.0, min(end, high) - max(begin, low))

    def fold(self) -> None:
        """Join the bins in pairs."""
        for stage, bins in self.bins.items():
            joined = [bins[at] + bins[at + 1] for at in range(0, BINS, 2)]
            self.bins[stage] = joined + [0.0] * (BINS // 2)
        self.bin_s *= 2


class _Span:
    def __init__(self, thread: _Thread, stage: str) -> None:
        self._thread = thread
        self._stage = stage

    def __enter__(self) -> None:
        thread = self._thread
        thread.turn((*thread.path, self._stage), 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = self._thread
        thread.turn(thread.path[:-1], 0)
