"""Runs a verb in a child process: a native decoder that a slide takes down ends in a line, not in silence.

The process is forked before anything heavy is imported, so this costs about a millisecond. Where there is
no fork (Windows), the verb runs as it is.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from wsiseg.errors import EXIT_REFUSED

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NATIVE_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP")
"""SIGTRAP: GLib, under OpenSlide, when it gets no memory."""
NOTE_BYTES = 4096
HANDED_ON = ("SIGINT", "SIGTERM", "SIGHUP")

_note: mmap.mmap | None = None


def working_on(what: str) -> None:
    """Note, for the parent to say should this process be taken down, which file is being worked on."""
    if _note is not None:
        text = what.encode(errors="replace")[: NOTE_BYTES - 1]
        _note[: len(text) + 1] = text + b"\0"


def contained(verb: Callable[[], None]) -> None:
    """Run a verb in a child and leave with its exit code; a crash of native code is reported by name."""
    global _note
    if not hasattr(os, "fork") or threading.active_count() > 1:
        verb()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    told = {signal.Signals[name] for name in HANDED_ON}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)  # until there is somebody to hand them on to
    try:
        _note = mmap.mmap(-1, NOTE_BYTES)
        child = os.fork()
    except OSError:  # no memory for a second process, or too many of them
        signal.pthread_sigmask(signal.SIG_UNBLOCK, told)
        verb()
        return
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, told)
        _die_with(parent)
        _run(verb)
        return
    code = _waited(child)
    if code >= 0:
        os._exit(code)  # the child has flushed what there was to say
    name = signal.Signals(-code).name
    if name in NATIVE_CRASHES:
        file = _note[:].split(b"\0", 1)[0].decode(errors="replace") or "an input"
        sys.stderr.write(
            f"wsiseg: {file}: a native library crashed on it ({name}): the file is damaged or hostile, "
            "or memory ran out; leave it out, or get it again\n"
        )
        sys.exit(EXIT_REFUSED)
    sys.exit(128 - code)


def _run(verb: Callable[[], None]) -> None:
    """Run a verb and leave at once: to take torch and OpenVINO down piece by piece takes a second."""
    code: str | int | None = None
    try:
        verb()
    except SystemExit as ended:
        code = ended.code
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)
    if isinstance(code, str):
        sys.exit(code)
    os._exit(code or 0)


def _waited(child: int) -> int:
    """Wait for the child, handing on what this process is told; return its exit code, or minus its signal."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        os.kill(child, number)

    # Ctrl-C in a terminal reaches the child by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN if sys.stdin is not None and sys.stdin.isatty() else hand_on)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.Signals[name] for name in HANDED_ON})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_with(parent: int) -> None:
    """Have this process end with its parent: a killed command must not go on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=watch, daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
