"""What is done of a run, in a file beside the store, and the lock that keeps a second process out.

`<id>.wsiseg-work/` exists only while a run is unfinished. It holds `lock`, which the system releases
when its process dies, and `journal.jsonl`: the run record, then one line per finished task, each
appended after its bytes are on the disk. A torn last line is dropped.

Where other processes do the tasks, they write through a gate: see `gate.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from wsiseg.errors import OutputBusyError
from wsiseg.pyramid.gate import close_gates

Json = dict[str, Any]


class TaskLog(Protocol):
    """What knows which tasks are done: the journal, or what stands for it in another process."""

    tasks: dict[str, Json]

    def done(self, task: str, **facts: Any) -> None:
        """Say that a task's bytes are on the disk."""


class Journal:
    """The journal of one output, held by this process until `close` or `finish`."""

    def __init__(self, folder: Path, output: Path) -> None:
        """Take the lock. Raises OutputBusyError where another process has it."""
        self.folder = folder
        self.tasks: dict[str, Json] = {}
        """Finished tasks by key."""
        self.header: Json | None = None
        self.created = False
        """Whether the store's metadata was written whole."""
        self.on_done: Callable[[str], None] | None = None
        """Called with a task's key once it is done, from the thread that did it."""
        self._write_lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(str(folder / "lock"), timeout=0)
        busy = f"{output} is being written by another process: wait for it, or give another -o"
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputBusyError(busy) from error
        if not (folder / "lock").is_file():  # the holder has removed it since: this lock keeps nobody out
            self._lock.release()
            raise OutputBusyError(busy)
        self._path = folder / "journal.jsonl"
        self._load()
        receipts = close_gates(folder)  # from here on nobody else writes into the store
        for entry in receipts if self.created else ():
            if entry["task"] not in self.tasks:
                self.done(**entry)

    def _load(self) -> None:
        """Read what a run before this one finished, and cut off a line that it could not finish."""
        whole = 0
        if self._path.is_file():
            with self._path.open("rb") as file:
                for line in file:
                    entry = _parse(line)
                    if entry is None:
                        break
                    whole += len(line)
                    if "record" in entry:
                        self.header = entry
                    elif entry.get("created"):
                        self.created = True
                    elif isinstance(entry.get("task"), str):
                        self.tasks[entry["task"]] = entry
            os.truncate(self._path, whole)

    def begin(self, header: Json) -> None:
        """Forget everything and start over with this header (it has the key `record`)."""
        self.tasks, self.header, self.created = {}, header, False
        self._path.unlink(missing_ok=True)
        self._append(header)

    def store_created(self) -> None:
        """Say that the store's metadata is whole."""
        self._append({"created": True})
        self.created = True

    def done(self, task: str, **facts: Any) -> None:
        """Say that a task's bytes are on the disk."""
        entry = {"task": task, **facts}
        self._append(entry)
        self.tasks[task] = entry
        if self.on_done is not None:
            self.on_done(task)

    def keep(self, intact: Callable[[str, Json], bool]) -> int:
        """Forget tasks whose files are no longer what was written; return how many are left."""
        self.tasks = {task: entry for task, entry in self.tasks.items() if intact(task, entry)}
        return len(self.tasks)

    def close(self) -> None:
        """Let go of the lock; the journal stays for the next run."""
        self._lock.release()

    def finish(self) -> None:
        """Remove the folder: the run is finished."""
        self._path.unlink(missing_ok=True)
        # While the lock is held, or the folder of a process that takes it next would be removed.
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        if os.name == "nt":  # there a file that is open cannot be removed
            shutil.rmtree(self.folder, ignore_errors=True)

    def _append(self, entry: Json) -> None:
        line = json.dumps(entry, separators=(",", ":"), sort_keys=True) + "\n"
        with self._write_lock, self._path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _parse(line: bytes) -> Json | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
