"""The folder of a run: what was asked for, with which versions, how it went, and the weights."""

from __future__ import annotations

import csv
import io
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from wsiseg import __version__
from wsiseg.config import read_yaml
from wsiseg.errors import UsageError
from wsiseg.models.checkpoint import write_atomically
from wsiseg.training.config import TrainConfig

FREE = ("workers", "tensorboard", "samples", "save_every_steps")
"""Keys of the config that may change from one call to the next: nothing that is learnt depends on them."""
_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "safetensors", "pydantic")
Row = dict[str, Any]


class RunFolder:
    """A run's files; one process at a time writes there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state.safetensors"
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.log = path / "train.log"
        self._lock = FileLock(path / ".lock")

    def claim(self, config: TrainConfig) -> None:
        """Take the folder for this run, or go on with it.

        Raises UsageError where another process has it, or where it holds a run of another config.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"{self.path}: another process trains there; wait, or give another -o"
            ) from error
        resolved = config.model_dump(mode="json")
        file = self.path / "config.yaml"
        if not file.is_file() and any(entry.name != ".lock" for entry in self.path.iterdir()):
            raise UsageError(f"{self.path}: holds files, but no run; give another folder with -o")
        if self.has_learnt:
            self._check_same(read_yaml(file), resolved)
        text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
        write_atomically(file, text.encode())
        write_atomically(self.path / "versions.json", _json(versions()))

    @property
    def has_learnt(self) -> bool:
        """Whether there is a saved state: before the first, a run may still be asked for otherwise."""
        return self.state.is_file()

    def release(self) -> None:
        """Let another process have the folder."""
        self._lock.release()

    def _check_same(self, before: Row, now: Row) -> None:
        old, new = _flat(before), _flat(now)
        changed = sorted(
            key
            for key in old.keys() | new.keys()
            if old.get(key) != new.get(key) and key.partition(".")[0] not in FREE
        )
        if changed:
            shown = ", ".join(
                f"{key} (was {old.get(key)!r}, now {new.get(key)!r})" for key in changed[:3]
            ) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            raise UsageError(
                f"{self.path}: holds a run of another config: {shown}; give another folder with -o, "
                "or the first config again to go on"
            )

    def read_json(self, name: str) -> Row | None:
        """Return a JSON file of the folder, None where there is none."""
        path = self.path / name
        if not path.is_file():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise UsageError(f"{path}: is damaged; remove the run's folder to begin anew")
        return found

    def write_json(self, name: str, values: Row) -> None:
        """Write a JSON file of the folder, whole."""
        write_atomically(self.path / name, _json(values))

    def rows(self) -> list[Row]:
        """Return the epochs so far, as written; a torn last line, of a killed run, is left out."""
        path = self.path / "metrics.jsonl"
        rows = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    def write_rows(self, rows: list[Row]) -> None:
        """Write the epochs as metrics.jsonl and metrics.csv."""
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(self.path / "metrics.jsonl", lines.encode())
        table = io.StringIO()
        flat = [{key: value for key, value in row.items() if key != "iou"} for row in rows]
        writer = csv.DictWriter(table, list(flat[0]) if flat else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        write_atomically(self.path / "metrics.csv", table.getvalue().encode())


def versions() -> Row:
    """Return what the weights depend on beside the config."""
    found = {"wsiseg": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        found[package] = metadata.version(package)
    return found


def _flat(values: Row, prefix: str = "") -> Row:
    flat: Row = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _json(values: Row) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()
