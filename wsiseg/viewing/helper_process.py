"""The process that predicts for a window: python -m wsiseg.viewing.helper_process. See `helper.py`."""

from __future__ import annotations

import os
import pickle  # from the window alone, see helper.py
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO

from wsiseg.annotations.annotation import Ring
from wsiseg.errors import WsisegError
from wsiseg.geometry import Region
from wsiseg.run.plan import RunPlan
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.result import SlideResult
from wsiseg.viewing.growing import GrowingLevels
from wsiseg.viewing.helper import Begun, reason_of
from wsiseg.viewing.live import LiveSession
from wsiseg.viewing.stoppable import StoppedError
from wsiseg.viewing.watched_run import predict_watched, prepare

NICENESS = 5
"""The window goes first."""


class Server:
    """Reads commands, does one job at a time in a thread, and says how it goes."""

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands = commands
        self._events = events
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._levels: GrowingLevels | None = None

    def serve(self) -> None:
        """Work until the window closes its end, or is gone."""
        session, job = LiveSession(), threading.Thread()
        closing = threading.Event()
        while True:
            try:
                name, *given = pickle.load(self._commands)  # noqa: S301
            except EOFError:
                break
            if name == "look":
                session.look(*given)
            elif name == "stop":
                session.stop()
            elif name == "prepare":
                threading.Thread(target=_prepare, args=(*given, closing), name="wsiseg prepare").start()
            else:
                session = LiveSession()
                work = {"predict": self._predict, "live": self._live}[name]
                job = threading.Thread(target=self._do, args=(work, session, *given), name="wsiseg job")
                job.start()
        closing.set()
        session.stop()
        if job.ident is not None:
            job.join()

    def _do(self, work: Any, session: LiveSession, *given: Any) -> None:
        try:
            result = work(session, *given)
        except StoppedError:
            self._say("stopped")
        except BaseException as error:
            self._say("failed", reason_of(error))
        else:
            self._say(*(("stopped",) if result is None else ("finished", result)))

    def _predict(
        self, session: LiveSession, source: str, output: str, options: PredictOptions, outline: Ring | None
    ) -> SlideResult:
        return predict_watched(
            source,
            output,
            options,
            stop=session.stopping,
            outline=outline,
            on_start=self._begun,
            on_block=lambda at: self._say("block", at),
            progress=lambda done, total: self._say("progress", done, total),
        )

    def _live(
        self, session: LiveSession, source: str, output: str, options: PredictOptions
    ) -> SlideResult | None:
        return session.run(
            source,
            output,
            options,
            on_start=self._begun,
            on_block=lambda at: self._say("block", at),
            on_part=self._part,
        )

    def _begun(self, plan: RunPlan, levels: GrowingLevels) -> None:
        self._levels = levels
        store = levels.store
        self._say(
            "begun", Begun(store.path, store.layout, plan.grid, plan.frame, plan.class_map, levels.done)
        )

    def _part(self, at: Region) -> None:
        with self._telling:  # whoever speaks last has seen all that was shown before
            if self._levels is not None:
                self._say("part", at, self._levels.read(0, at))

    def _say(self, *event: Any) -> None:
        with self._lock:
            try:
                pickle.dump(event, self._events)
                self._events.flush()
            except BrokenPipeError:  # the window is gone; the end of its commands says so too
                return


def _prepare(source: str, output: str, options: PredictOptions, stop: threading.Event) -> None:
    with suppress(WsisegError, OSError):  # the run will say so
        prepare(source, output, options, stop=stop)


def main() -> None:
    """Serve the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the window, which then ends this one
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # The streams are for messages alone: what a library prints goes to the errors.
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(sys.stderr.fileno(), 1)
    Server(commands, events).serve()


if __name__ == "__main__":
    main()
