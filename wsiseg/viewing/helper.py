"""A process that predicts for a window, so that the window never waits: the window's end of it.

Importing a network's libraries and tracing the network hold an interpreter for up to half a second at a
time, whatever thread does it. So that is left to a process of its own. The two talk through its standard
streams, in tuples of a name and what belongs to it. To the process:

    predict SOURCE OUTPUT OPTIONS OUTLINE     a job, see `predict_watched`
    live SOURCE OUTPUT OPTIONS                a job, see `LiveSession.run`
    prepare SOURCE OUTPUT OPTIONS             get ready for such a job; nothing is said of it
    look VIEW                                 see `LiveSession.look`
    stop

And from it, to the listener of the job:

    begun BEGUN                labels begin to grow
    block REGION               a block is in the store
    part REGION LABELS         a part of a block that is not
    progress DONE TOTAL        label pixels
    finished RESULT            the last of a job, or one of these
    stopped
    failed REASON
"""

from __future__ import annotations

import pickle  # between two processes of one program: nothing from a file or a network comes this way
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from wsiseg.class_map import ClassMap
from wsiseg.errors import WsisegError
from wsiseg.pyramid.store import ResultStore, StoreLayout
from wsiseg.run.predict_options import PredictOptions
from wsiseg.tiling.frame import Frame
from wsiseg.tiling.grid import TileGrid
from wsiseg.viewing.growing import Block, GrowingLevels

PROCESS = "wsiseg.viewing.helper_process"
LAST = ("finished", "stopped", "failed")
Listener = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Begun:
    """A result that begins to grow, as another process can look at it."""

    store: Path
    layout: StoreLayout
    grid: TileGrid
    frame: Frame
    class_map: ClassMap
    done: frozenset[Block]

    def levels(self) -> GrowingLevels:
        """Open the labels for reading; they have to be told of each block and part."""
        return GrowingLevels(ResultStore(self.store, self.layout), self.grid, set(self.done))


class Helper:
    """Does one job at a time; its process begins with the first, or to prepare it, and stays for the next."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: Listener | None = None
        self._lock = threading.Lock()

    def begin(self, listener: Listener, *command: Any) -> None:
        """Begin a job. `listener` gets what it says from a thread, until one of LAST."""
        with self._lock:
            self._start()
            self._listener = listener
        self.tell(*command)

    def prepare(self, source: str, output: str, options: PredictOptions) -> None:
        """Get ready for a job, so that it begins sooner; may be called at any time."""
        with self._lock:
            self._start()
        self.tell("prepare", source, output, options)

    def tell(self, *command: Any) -> None:
        """Say something to the job. Where the process is gone, its listener is told."""
        with self._lock:
            stream = None if self._process is None else self._process.stdin
            if stream is None or stream.closed:
                return
            with suppress(OSError):  # gone: whoever listens to it will say so
                pickle.dump(command, stream)
                stream.flush()

    def close(self) -> None:
        """Stop the job and end the process. Returns once it has let go of its files; says nothing more."""
        with self._lock:
            process, listener = self._process, self._listener
            self._process = self._listener = None
        if process is not None:
            _close(process.stdin)
            if listener is None:
                process.terminate()  # at most it prepares something, and writes nothing
            process.wait()

    def _start(self) -> None:
        """Begin the process where there is none."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            listening = threading.Thread(
                target=self._listen, args=(self._process,), name="wsiseg helper", daemon=True
            )
            listening.start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        stream = process.stdout
        if stream is None:
            return
        with stream:
            while True:
                try:
                    name, *said = pickle.load(stream)  # noqa: S301
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
                self._pass_on(process, name, *said)
        code = process.wait()
        with self._lock:
            _close(process.stdin)
        self._pass_on(
            process, "failed", f"the process that predicts has ended ({code}); Run goes on from there"
        )

    def _pass_on(self, process: subprocess.Popen[bytes], name: str, *said: Any) -> None:
        with self._lock:
            if self._process not in (None, process):
                return  # of a process that was replaced
            listener = self._listener
            if name in LAST:
                self._listener = None
        if listener is not None:
            listener(name, *said)


def _close(stream: IO[bytes] | None) -> None:
    """Close a stream, whoever is left at its other end."""
    if stream is not None:
        with suppress(OSError):  # something was unsaid
            stream.close()


def reason_of(error: BaseException) -> str:
    """Return what to tell a user of an error that nobody else will tell."""
    text = " ".join(str(error).split())
    if isinstance(error, WsisegError | OSError):  # a full disk, a missing right, a vanished mount
        return text
    if isinstance(error, MemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {text}; please report this"
