"""Corrections of one result, open for merging in and taking back: sparse, 255 where nothing is corrected.

The result is only read. Nothing is written before the first merge. A merge is on the disk, whole, when
`merge` returns; if the process dies in the middle, whoever opens the corrections next finishes it.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.corrections.layout import CHUNK_PX, check_fits, corrections_path, create_empty, work_folder
from wsiseg.corrections.pending import read_pending, write_pending
from wsiseg.errors import OutputBusyError, UsageError
from wsiseg.exports.label_store import LabelStore, open_label_store
from wsiseg.geometry import Region, ceil_div
from wsiseg.pyramid.levels import halve_labels
from wsiseg.pyramid.metadata import LABEL_NAME

MOST_UNDO_BYTES = 256_000_000
"""Of what merges replaced; the oldest are forgotten."""

Pixels = NDArray[np.uint8]


class Corrections:
    """The one writer of a result's corrections, until `close`. Merging is for one thread at a time."""

    def __init__(self, result: LabelStore) -> None:
        """Take the lock, and finish what a killed process began.

        Raises OutputBusyError where another process has it, InputRefusedError for corrections of another
        slide, other pixels or other classes, UsageError where there can be none.
        """
        if "corrections" in result.run:
            raise UsageError(
                f"{result.path.name} holds corrections itself: open the result that they belong to"
            )
        self.result = result
        self.path = corrections_path(result.path)
        self.store: LabelStore | None = None
        """What is on the disk; None before the first merge."""
        self.warnings: list[str] = []
        self._arrays: list[Any] = []
        self._undo: deque[tuple[Region, Pixels]] = deque()
        rows, columns = result.shape(0)
        self.whole = Region(0, 0, columns, rows)
        """Level 0, in its own pixels."""
        self._work = work_folder(self.path)
        try:
            self._work.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        self._lock = FileLock(str(self._work / "lock"), timeout=0)
        busy = f"{self.path} is being written by another process: close that window"
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputBusyError(busy) from error
        if not (self._work / "lock").is_file():  # the holder has removed it since: this lock keeps nobody out
            self._lock.release()
            raise OutputBusyError(busy)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, region: Region) -> Pixels:
        """Read a rectangle inside of level 0: (rows, columns) uint8, 255 where nothing is corrected."""
        if self.store is None:
            return np.full(region.shape, NOT_ANALYSED, np.uint8)
        return self.store.read(0, region)

    def merge(self, region: Region, labels: Pixels) -> Region | None:
        """Set a rectangle of level 0; 255 takes a correction back. Return what changed, None for nothing.

        `labels` is (region.height, region.width) uint8. Raises UsageError for values that are no class, and
        OSError where the disk fails: a merge that was begun is then finished by the next, or on opening.
        """
        if not self._lock.is_locked:
            raise ValueError(f"{self.path} was closed")
        if region.intersect(self.whole) != region or labels.shape != region.shape:
            raise ValueError(f"{region} with labels {labels.shape} does not lie in {self.whole}")
        is_known = np.zeros(256, bool)
        is_known[[*self.result.classes.ids, NOT_ANALYSED]] = True
        known = is_known[labels]
        if not known.all():
            raise UsageError(
                f"the value {labels[~known][0]} was painted, which is no class: expected one of "
                f"{', '.join(map(str, self.result.classes.ids))}; undo it, or paint over it"
            )
        self._finish()
        before = self.read(region)
        changed = before != labels
        if not changed.any():
            return None
        if self.store is None:
            create_empty(self.path, self.result)
            self._open()
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = Region(
            region.x + int(columns[0]),
            region.y + int(rows[0]),
            int(columns[-1] - columns[0]) + 1,
            int(rows[-1] - rows[0]) + 1,
        )
        self._undo.append((box, before[box.slices_in(region)].copy()))
        while sum(old.nbytes for _, old in self._undo) > MOST_UNDO_BYTES and len(self._undo) > 1:
            self._undo.popleft()
        self._set(box, labels[box.slices_in(region)])
        return box

    @property
    def can_undo(self) -> bool:
        """Whether there is a merge of this window to take back."""
        return bool(self._undo)

    def undo(self) -> Region | None:
        """Take the last merge back; return what changed, None where there is none."""
        self._finish()
        if not self._undo:
            return None
        box, before = self._undo[-1]
        self._set(box, before)
        self._undo.pop()
        return box

    def close(self) -> None:
        """Let go of the lock. A merge that could not be finished stays for whoever opens them next."""
        if not self._lock.is_locked:
            return
        is_done = not any(self._work.glob("pending-*"))
        if is_done:
            shutil.rmtree(self._work, ignore_errors=True)
        self._lock.release()
        if is_done and os.name == "nt":  # there a file that is open cannot be removed
            shutil.rmtree(self._work, ignore_errors=True)

    def _open(self) -> None:
        """Open what is on the disk, if anything is."""
        if not self.path.exists():
            return
        store = open_label_store(self.path)
        self.warnings = check_fits(store, self.result)
        group: Any = zarr.open_group(str(self.path), mode="r+", use_consolidated=False)
        self._arrays = [group[f"labels/{LABEL_NAME}/{array.basename}"] for array in store.levels]
        self.store = store
        for file in self.path.rglob("*.partial"):  # of a killed writer
            file.unlink()
        self._finish()

    def _finish(self) -> None:
        """Do the merge again that was cut short, if there is one."""
        if self.store is None:
            return
        for path, region, labels in read_pending(self._work, self.whole):
            self._write(region, labels)
            path.unlink()

    def _set(self, region: Region, labels: Pixels) -> None:
        pending = write_pending(self._work, region, labels)
        self._write(region, labels)
        pending.unlink()

    def _write(self, region: Region, labels: Pixels) -> None:
        """Write a rectangle of level 0 and what lies above it. Where all is 255, no file is left."""
        self._put(0, region, labels)
        for level in range(1, len(self._arrays)):
            x, y = region.x // 2, region.y // 2
            region = Region(x, y, ceil_div(region.right, 2) - x, ceil_div(region.bottom, 2) - y)
            rows, columns = self._arrays[level - 1].shape
            under = Region(2 * x, 2 * y, 2 * region.width, 2 * region.height)
            at, across = under.intersect(Region(0, 0, columns, rows)).slices_in(Region(0, 0, 0, 0))
            self._put(level, region, halve_labels(self._arrays[level - 1][at, across]))

    def _put(self, level: int, region: Region, labels: Pixels) -> None:
        rows, columns = region.slices_in(Region(0, 0, 0, 0))
        self._arrays[level][rows, columns] = labels
        folder = self.path / "labels" / LABEL_NAME / str(level) / "c"
        for row in range(region.y // CHUNK_PX, ceil_div(region.bottom, CHUNK_PX)):
            for column in range(region.x // CHUNK_PX, ceil_div(region.right, CHUNK_PX)):
                file = folder / str(row) / str(column)
                if file.is_file():
                    with file.open("r+b") as handle:
                        os.fsync(handle.fileno())


def open_corrections(result: LabelStore) -> LabelStore | None:
    """Open the corrections of a result for reading; None where there are none.

    Raises InputRefusedError for those of another slide, other pixels or other classes.
    """
    path = corrections_path(result.path)
    if not path.exists():
        return None
    found = open_label_store(path)
    check_fits(found, result)
    return found
