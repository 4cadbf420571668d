"""Where each slide of a batch stands: one row per slide, in CSV that a person and a program can read."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from wsiseg.cohort.entry import STATE_FOLDER
from wsiseg.cohort.text import spreadsheet_cell
from wsiseg.exports.files import whole_file

State = Literal["pending", "running", "done", "failed", "skipped"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideState:
    """Where one slide stands."""

    id: str
    state: State = "pending"
    reason: str = ""
    """Why it failed or was skipped, in one line."""
    attempts: int = 0
    """How often it was begun."""
    seconds: float = 0.0
    """Time that the last attempt took."""
    unread: bool = False
    """Done, but more than 1 % of the tissue could not be read."""
    worker: str = ""
    """Where the last attempt ran."""
    updated: str = ""
    """When this was written, UTC."""


def write_states(path: Path, rows: Iterable[SlideState]) -> None:
    """Write the rows as CSV, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(item.name for item in fields(SlideState))
    for row in rows:
        writer.writerow(spreadsheet_cell(value) for value in asdict(row).values())
    with whole_file(path, overwrite=True) as file:
        file.write(text.getvalue().encode(errors="backslashreplace"))


def read_states(output: Path) -> dict[str, SlideState]:
    """Return the newest state of each slide, over all shards. Rows that make no sense are left out."""
    newest: dict[str, SlideState] = {}
    for path in sorted((output / STATE_FOLDER).glob("state*.csv")):
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = [_parsed(row) for row in csv.DictReader(file)]
        except (OSError, ValueError, csv.Error):
            continue
        for row in rows:
            if row is not None and row.updated >= newest.get(row.id, row).updated:
                newest[row.id] = row
    return newest


def summed(rows: Iterable[SlideState]) -> str:
    """Return "3 done, 1 failed", in the order of STATES, without what does not occur."""
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no slides"


def now() -> str:
    """Return the time, UTC, as it stands in the files."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _parsed(row: dict[str, str]) -> SlideState | None:
    try:
        state = next(name for name in STATES if name == row["state"])
        return SlideState(
            id=_unquoted(row["id"]),
            state=state,
            reason=_unquoted(row["reason"]),
            attempts=int(row["attempts"]),
            seconds=float(row["seconds"]),
            unread=row["unread"] == "True",
            worker=_unquoted(row["worker"]),
            updated=row["updated"],
        )
    except (KeyError, ValueError, TypeError, AttributeError, StopIteration):
        return None


def _unquoted(text: str) -> str:
    """Undo `spreadsheet_cell`."""
    return text[1:] if text[:1] == "'" and spreadsheet_cell(text[1:]) == text else text
