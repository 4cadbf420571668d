"""Commands of wsiseg in forked children: what is slow to import is imported once, so kills fall into work.

The child runs `wsiseg.cli.main.command`, as the program does, with a folder of its own for temporary files.
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import one_thread  # noqa: F401

WALL_LIMIT_S = 1800.0
"""For one command, on a machine that may have other work."""
POLL_S = 0.005
LONGEST_POLL_S = 1.0
"""A poll that took longer counts as this: this process was stopped, and perhaps the command with it."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PRELOADED = (
    "torch",
    "dask.delayed",
    "distributed",
    "openslide",
    "PIL.ImageFont",
    "PIL.PngImagePlugin",
    "pydicom",
    "shapely",
    "skimage.measure",
    "wsiseg.cli.main",
    "wsiseg.pipeline",
    "wsiseg.inference.torch_runtime",
    "wsiseg.slides.dicom",
    "wsiseg.slides.image",
    "wsiseg.slides.ome_zarr",
    "wsiseg.slides.openslide_backend",
    "wsiseg.slides.tiled_tiff",
    "wsiseg.label_import",
    "wsiseg.cohort.batch",
    "wsiseg.training.run",
    "wsiseg.exports.geojson",
    "wsiseg.exports.label_tiff",
)


def preload() -> None:
    """Import what the commands need, but for OpenVINO, which starts a thread."""
    for module in PRELOADED:
        importlib.import_module(module)


class Changes:
    """Counts what a child and its children change under a folder; kills the one that is due."""

    EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree")

    def __init__(self, folder: Path, kill_at: int | None = None) -> None:
        self._folder = str(folder)
        self._kill_at = kill_at
        self._count = mmap.mmap(-1, 8)  # shared with the children

    @property
    def count(self) -> int:
        """How many there were."""
        return int(struct.unpack("<q", self._count[:8])[0])

    def watch(self) -> None:
        """Watch this process from here on."""
        sys.addaudithook(self._told)

    def _told(self, event: str, arguments: tuple[object, ...]) -> None:
        """Be told of an event by Python, before it happens (an audit hook)."""
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event in self.EVENTS:
            path = arguments[0]
        else:
            return
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if text.startswith(self._folder):
            self._count[:8] = struct.pack("<q", self.count + 1)
            if self.count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def start(arguments: list[str], said: Path, scratch: Path, before: Callable[[], None] = lambda: None) -> int:
    """Start `wsiseg ARGUMENTS` in a process group of its own; return its process id. It speaks into `said`.

    `before` is called in the child, before anything else.

    Raises RuntimeError where this process has threads, for then the child may hang.
    """
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise RuntimeError(f"{threads} threads: a command cannot be forked from here")
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    child = os.fork()
    if child:
        with suppress(OSError):  # whichever of the two comes first
            os.setpgid(child, child)
        return child
    code = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a campaign that ends leaves nobody behind
        if os.getppid() != parent:
            os._exit(1)
        with said.open("wb") as file, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ["TMPDIR"] = str(scratch)
        tempfile.tempdir = None
        before()
        sys.argv = ["wsiseg", *arguments]
        from wsiseg.cli.main import command

        command()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish(arguments: list[str], said: Path, scratch: Path, changes: Changes | None = None) -> float:
    """Run a command to its end; return the seconds. Raises RuntimeError where it fails."""
    began = time.monotonic()
    code = run(arguments, said, scratch, (lambda: None) if changes is None else changes.watch)
    if code:
        text = said.read_text(encoding="utf-8", errors="replace")[-800:]
        raise RuntimeError(f"wsiseg {' '.join(arguments)}: exit status {code}: {text}")
    return time.monotonic() - began


def kill_after(arguments: list[str], said: Path, scratch: Path, delay_s: float) -> bool:
    """Start a command and kill it, with its children, after a while; return whether it was still at work."""
    child = start(arguments, said, scratch)
    if _ended_within(child, delay_s):
        _CODES.pop(child)
        return False
    _kill(child)
    return True


def kill_at_change(arguments: list[str], said: Path, scratch: Path, changes: Changes) -> bool:
    """Start a command that is killed as it changes a file for a certain time; return whether it was."""
    return run(arguments, said, scratch, changes.watch) in (-signal.SIGKILL, KILLED)


KILLED = 128 + signal.SIGKILL
"""Exit code of a command whose own child was killed."""


def run(arguments: list[str], said: Path, scratch: Path, before: Callable[[], None]) -> int:
    """Run a command to its end; return its exit code, negative for a signal. RuntimeError where it hangs."""
    child = start(arguments, said, scratch, before)
    if not _ended_within(child, WALL_LIMIT_S):
        _kill(child)
        raise RuntimeError(f"wsiseg {' '.join(arguments)}: not done after {WALL_LIMIT_S:.0f} s")
    return _CODES.pop(child)


_CODES: dict[int, int] = {}


def _ended_within(child: int, seconds: float) -> bool:
    waited, before = 0.0, time.monotonic()
    while True:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            _CODES[child] = os.waitstatus_to_exitcode(status)
            return True
        if waited >= seconds:
            return False
        time.sleep(min(POLL_S, seconds - waited))
        now = time.monotonic()
        waited += min(now - before, LONGEST_POLL_S)
        before = now


def _kill(child: int) -> None:
    """Kill the whole group, and wait until none of it is left."""
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until = time.monotonic() + 60
    while _group_lives(child):
        if time.monotonic() > until:
            raise RuntimeError(f"process group {child} outlives its SIGKILL")
        time.sleep(POLL_S)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
