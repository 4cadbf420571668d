"""How processes that do not hold a run's lock write into its store, until they are shut out.

A worker writes a cell aside, moves its files into the gate, a folder beside the journal, and from there to
their place. A process that takes over a run removes the gates that it finds before it does anything else: a
worker of the run before it, which nobody could reach to stop, then fails at its next move. Both moves
are renames, so a file is in the store whole, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.pyramid.store import Kind, ResultStore, StoreLayout

Json = dict[str, Any]
METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def open_gate(work: Path) -> Path:
    """Make a gate in a run's work folder; the process that holds the run's lock does."""
    gate = work / f"gate-{uuid.uuid4().hex}"
    gate.mkdir()
    return gate


def close_gates(work: Path) -> list[Json]:
    """Shut every gate of a work folder; return what has passed through, as entries of the journal."""
    receipts: list[Json] = []
    for gate in sorted(work.glob("gate-*")):
        shut = gate.with_name(f"shut-{uuid.uuid4().hex}")
        gate.rename(shut)
        receipts += [entry for path in sorted(shut.glob("*.json")) if (entry := _read(path)) is not None]
    for leftover in (*work.glob("shut-*"), *work.glob("aside-*")):
        shutil.rmtree(leftover, ignore_errors=True)
    return receipts


class GatedStore(ResultStore):
    """A store that is written through a gate, by a process that does not hold its lock."""

    def __init__(self, path: Path, layout: StoreLayout, gate: Path) -> None:
        super().__init__(path, layout)
        self._gate = gate
        aside = gate.parent / f"aside-{uuid.uuid4().hex}"
        for folder, _, names in os.walk(path):
            for name in set(names) & set(METADATA):
                target = aside / Path(folder).relative_to(path) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(folder) / name, target)
        self._aside = ResultStore(aside, layout)

    def write(self, kind: Kind, level: int, row: int, column: int, pixels: NDArray[np.uint8]) -> int:
        """See `ResultStore.write`; raises FileNotFoundError where the gate is shut."""
        size = self._aside.write(kind, level, row, column, pixels)
        for file in list(self._aside.files(kind, level, row, column)):
            target = self.path / file.relative_to(self._aside.path)
            passing = self._gate / uuid.uuid4().hex
            file.rename(passing)
            target.parent.mkdir(parents=True, exist_ok=True)
            passing.replace(target)
        return size


class Receipts:
    """The tasks that went through a gate: what a worker has in the place of the journal."""

    def __init__(self, gate: Path) -> None:
        self._gate = gate
        self.tasks: dict[str, Json] = {}

    def done(self, task: str, **facts: Any) -> None:
        """Say that a task's bytes are on the disk, and in their place."""
        entry = {"task": task, **facts}
        path = self._path(task)
        partial = path.with_suffix(f".{uuid.uuid4().hex}")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(entry, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def find(self, task: str) -> Json | None:
        """Return what was said of a task by whichever process did it; None where nobody did."""
        return _read(self._path(task))

    def _path(self, task: str) -> Path:
        return self._gate / f"{task.replace('/', '.')}.json"


def _read(path: Path) -> Json | None:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("task"), str) else None
