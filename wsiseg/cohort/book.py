"""A batch's account of itself: what was asked for, what became of each slide, and who may write it.

`OUT/wsiseg-batch/` holds `batch.json` (the settings and the slides) and, per shard, `state.csv` (or
`state-1-of-4.csv`) and the lock that its process holds. The account is not the truth: whether a slide is
done is said by its own summary, so nothing is lost where the account is a second old.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wsiseg.cohort.entry import STATE_FOLDER, CohortSlide
from wsiseg.cohort.state import SlideState, State, now, read_states, write_states
from wsiseg.cohort.text import one_line
from wsiseg.errors import UsageError
from wsiseg.exports.files import whole_file
from wsiseg.run.run_record import differences

Json = dict[str, Any]

BATCH_FILE = "batch.json"
FORMAT = 1
FLUSH_S = 1.0
PREPARE_S = 60.0


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of a batch that one process does: every `count`-th slide."""

    index: int = 1
    count: int = 1

    @property
    def suffix(self) -> str:
        """What the names of its files end in; nothing where there is only one."""
        return "" if self.count == 1 else f"-{self.index}-of-{self.count}"

    def of(self, slides: list[CohortSlide]) -> list[CohortSlide]:
        """Return the slides that are this shard's."""
        return slides[self.index - 1 :: self.count]


WHOLE = Shard()


class StateBook:
    """The states of one shard, held by this process until `close`."""

    def __init__(self, output: Path, shard: Shard) -> None:
        """Take the lock. Raises UsageError where another batch is at work in the folder."""
        self.output = output
        self.folder = output / STATE_FOLDER
        self.shard = shard
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / f"state{shard.suffix}.csv"
        self._rows: dict[str, SlideState] = {}
        self._flushed = 0.0
        with _preparing(self.folder):
            _check_no_other_split(self.folder, shard)
            self._lock = FileLock(str(self.folder / f"lock{shard.suffix}"), timeout=0)
            try:
                self._lock.acquire()
            except Timeout as error:
                raise UsageError(
                    f"{output} is being written by another batch: wait for it, or give another -o"
                ) from error

    def begin(self, slides: list[CohortSlide], settings: Json) -> None:
        """Say what is to be done. What an earlier run said of the same slides is kept.

        `settings` is JSON. What an earlier run left as `running` was interrupted. Raises UsageError where
        the folder's batch was begun with other settings, and says in what.
        """
        content = {"format": FORMAT, "settings": settings, "terms": None}
        content["slides"] = [slide.as_json() for slide in slides]
        known: dict[str, CohortSlide] = {}
        with _preparing(self.folder):
            if (self.folder / BATCH_FILE).is_file():
                earlier = read_batch(self.output)
                self._check_same(earlier["settings"], settings)
                if self.shard.count > 1 and earlier["slides"] != json.loads(json.dumps(content["slides"])):
                    raise UsageError(
                        f"{self.output} is a batch of other slides: every shard needs the same list; "
                        f"give another -o, or run once without --shard"
                    )
                content["terms"] = earlier["terms"]
                known = {slide.id: slide for slide in read_slides(self.output)}
            _write_batch(self.folder, content)
            before = read_states(self.output)
        for slide in self.shard.of(slides):
            row = before[slide.id] if slide.id in before and slide == known.get(slide.id) else None
            if slide.skip:
                row = SlideState(id=slide.id, state="skipped", reason=one_line(slide.skip), updated=now())
            elif row is None or row.state in ("running", "skipped"):
                row = SlideState(id=slide.id, attempts=row.attempts if row else 0, updated=now())
            self._rows[slide.id] = row
        self.flush()

    def agree(self, terms: Json) -> None:
        """Store what all processes must have in common; UsageError where earlier ones had something else."""
        with _preparing(self.folder):
            content = read_batch(self.output)
            if content["terms"] is not None:
                self._check_same(content["terms"], terms)
            _write_batch(self.folder, {**content, "terms": terms})

    def _check_same(self, earlier: Json, here: Json) -> None:
        changed = differences(earlier, here)
        if changed:
            raise UsageError(
                f"{self.output} is a batch begun with other settings ({'; '.join(changed[:4])}): "
                f"repeat those, or give another -o"
            )

    def __getitem__(self, slide_id: str) -> SlideState:
        return self._rows[slide_id]

    def put(self, slide_id: str, state: State, **facts: Any) -> SlideState:
        """Note a change; it is in the file within a second, or with the next change after that."""
        facts["reason"] = one_line(facts.get("reason", ""))
        kept = asdict(self._rows[slide_id])
        row = SlideState(**{**kept, **facts, "state": state, "updated": now()})
        self._rows[slide_id] = row
        if time.monotonic() - self._flushed >= FLUSH_S:
            self.flush()
        return row

    def counts(self) -> Counter[State]:
        """Return how many slides are in each state."""
        return Counter(row.state for row in self._rows.values())

    def rows(self) -> list[SlideState]:
        """Return all rows, in the order of the slides."""
        return list(self._rows.values())

    def flush(self) -> None:
        """Write the file, whole."""
        write_states(self._path, self._rows.values())
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left and let go of the lock."""
        try:
            if self._rows:
                self.flush()
        finally:
            self._lock.release()


def read_batch(output: Path) -> Json:
    """Return what `batch.json` says. Raises UsageError where there is no batch."""
    path = output / STATE_FOLDER / BATCH_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content["format"] != FORMAT:
            raise ValueError("of another version of wsiseg")
        content["settings"], content["slides"] = dict(content["settings"]), list(content["slides"])
        content["terms"] = dict(content["terms"]) if content["terms"] is not None else None
    except FileNotFoundError as error:
        raise UsageError(f"{output}: no batch was begun here: give the -o of a wsiseg batch") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read ({one_line(str(error))}): the batch is damaged") from error
    return content


def read_slides(output: Path) -> list[CohortSlide]:
    """Return the slides of a batch, checked. Raises UsageError where there is none."""
    try:
        return [CohortSlide.from_json(item) for item in read_batch(output)["slides"]]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"{output}: the list of slides is damaged ({one_line(str(error))})") from error


def current_states(output: Path) -> list[SlideState]:
    """Return the state of every slide of a batch; without a process at work, nothing is `running`."""
    states = read_states(output)
    rows = [states.get(slide.id, SlideState(id=slide.id)) for slide in read_slides(output)]
    if all(row.state != "running" for row in rows) or is_at_work(output):
        return rows
    return [replace(row, state="pending") if row.state == "running" else row for row in rows]


def is_at_work(output: Path) -> bool:
    """Tell whether a process holds one of the batch's locks."""
    folder = output / STATE_FOLDER
    with _preparing(folder):
        return any(_is_held(path) for path in folder.glob("lock*"))


def _write_batch(folder: Path, content: Json) -> None:
    with whole_file(folder / BATCH_FILE, overwrite=True) as file:
        file.write(json.dumps(content, indent=1).encode())


@contextmanager
def _preparing(folder: Path) -> Iterator[None]:
    """Keep other processes from looking at, or taking, any lock of the batch."""
    lock = FileLock(str(folder / "prepare"), timeout=PREPARE_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"{folder} has been held by another process for {PREPARE_S:.0f} s: try again later"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_no_other_split(folder: Path, shard: Shard) -> None:
    """Refuse to work where processes are at work that split the slides otherwise."""
    for path in folder.glob("lock*"):
        count = path.name.rpartition("-of-")[2] if "-of-" in path.name else "1"
        if count != str(shard.count) and _is_held(path):
            raise UsageError(
                f"{folder.parent} is being written by a batch in {count} part(s), not {shard.count}: "
                f"wait for it, or give the same --shard I/{count}"
            )


def _is_held(path: Path) -> bool:
    lock = FileLock(str(path), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False
