"""The files of one slide's result, and who may write them: a fresh run, a resumed one, or nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.class_map import NOT_ANALYSED, UNREAD, ClassMap
from wsiseg.errors import UsageError
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.store import ResultStore, StoreLayout, create_store
from wsiseg.run.run_record import differences
from wsiseg.tiling.tissue import TissueMask

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """Where one slide's result goes."""

    store: Path
    summary: Path
    overlay: Path
    work: Path
    trace: Path
    """The picture of where the time went, where it was asked for; a .json is beside it."""

    @classmethod
    def of(cls, folder: Path, slide_id: str) -> OutputPaths:
        """Return the paths of a slide id in a folder. Raises UsageError where there can be none."""
        if not slide_id or Path(slide_id).name != slide_id:
            raise UsageError(f"the name {slide_id!r} is no plain file name: give one without a folder")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"the output folder {folder} is a file: give a folder with -o")
        return cls(
            store=folder / f"{slide_id}.wsiseg.ome.zarr",
            summary=folder / f"{slide_id}.summary.json",
            overlay=folder / f"{slide_id}.overlay.png",
            work=folder / f"{slide_id}.wsiseg-work",
            trace=folder / f"{slide_id}.trace.png",
        )

    def check_apart_from(self, *inputs: Path) -> None:
        """Raise UsageError where an output is, holds or lies in an input."""
        for given in inputs:
            source = given.resolve()
            for output in (self.store, self.summary, self.overlay, self.work, self.trace):
                path = output.resolve()
                inside = source.is_dir() and path.is_relative_to(source)
                if path == source or inside or source.is_relative_to(path):
                    raise UsageError(
                        f"the output {path} and the input {source} overlap: give another folder with -o"
                    )


def finished_summary(paths: OutputPaths, record: Json) -> Json | None:
    """Return the summary of a finished run with these settings; None where there is no finished run.

    Raises UsageError where a finished run was made otherwise, and says in what. Package versions do
    not count: an upgrade does not make a result stale.
    """
    if not paths.store.is_dir():
        return None
    summary = read_summary(paths.summary)
    if summary is None or summary.get("state") != "finished" or not isinstance(summary.get("run"), dict):
        return None
    changed = differences(summary["run"], record, versions=False)
    if changed:
        raise UsageError(
            f"{paths.store} was made with other settings ({_list(changed)}): use --overwrite or another -o"
        )
    return summary


def read_summary(path: Path) -> Json | None:
    """Return a summary, or None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def claim(paths: OutputPaths, record: Json, overwrite: bool) -> Journal | None:
    """Take the output for this process; the journal says what a run before this one has finished.

    Returns None where the output is finished with these settings: there is nothing to do. Raises
    UsageError where another process has it, or where what lies there is not this run's.
    """
    if not overwrite and not paths.work.is_dir() and paths.store.exists():
        _check_finished(paths, record)
        return None
    journal = Journal(paths.work, paths.store)
    try:
        if overwrite:
            paths.summary.unlink(missing_ok=True)
            journal.begin({"record": record})
        elif finished_summary(paths, record) is not None:  # ended between its summary and its clean-up
            journal.finish()
            return None
        elif journal.header is None:
            if paths.store.exists():
                _check_finished(paths, record)
            paths.summary.unlink(missing_ok=True)
            journal.begin({"record": record})
        else:
            changed = differences(journal.header["record"], record)
            if changed:
                raise UsageError(
                    f"{paths.store} was begun with other settings ({_list(changed)}): "
                    f"repeat those, or use --overwrite or another -o"
                )
    except BaseException:
        journal.close()
        raise
    return journal


def prepare_store(
    paths: OutputPaths,
    journal: Journal,
    layout: StoreLayout,
    classes: ClassMap,
    own: Json,
    tissue: TissueMask,
) -> tuple[ResultStore, int]:
    """Open the store that the journal speaks of, or create it; also return how many tasks are done.

    `own` goes into the store's attribute `wsiseg`, with what every store says; its `run` is the run record.
    """
    if journal.created and paths.store.is_dir():
        store = ResultStore(paths.store, layout)
        store.sweep()
        return store, journal.keep(lambda task, entry: store.size_of(task) == entry.get("bytes"))
    journal.begin({"record": own["run"]})
    own = {
        "run": own["run"],
        "classes": [item.model_dump(mode="json") for item in classes.classes],
        "unread": UNREAD,
        "not_analysed": NOT_ANALYSED,
        **{key: value for key, value in own.items() if key != "run"},
    }
    store = create_store(paths.store, layout, classes, own, tissue.cells, tissue.cell_px)
    journal.store_created()
    return store, 0


def _check_finished(paths: OutputPaths, record: Json) -> None:
    if finished_summary(paths, record) is None:
        raise UsageError(
            f"{paths.store} exists, but is no run that can be resumed: move it away, or use --overwrite"
        )


def _list(changed: list[str]) -> str:
    return "; ".join(changed[:4]) + (f"; and {len(changed) - 4} more" if len(changed) > 4 else "")
