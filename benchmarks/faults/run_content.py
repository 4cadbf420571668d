"""What a run left behind, as digests without what tells the time; and what it says that it finished."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

TIMES = ("seconds", "tasks_resumed", "attempts", "updated", "worker", "memory_mb", "mapped_mb")
"""Keys and columns that say when, how fast, in how many attempts and where, not what."""
UNCOMPARED = ("train.log", "results.parquet")
"""Only that they are there is compared: dates alone, and the rows of results.csv once more."""


def content(folder: Path) -> dict[str, str]:
    """Return relative path to SHA-256 of every file, and to "" of every folder."""
    found = {}
    for item in sorted(folder.rglob("*")):
        name = item.relative_to(folder).as_posix()
        if item.is_dir():
            found[f"{name}/"] = ""
        else:
            found[name] = hashlib.sha256(_timeless(item)).hexdigest()
    return found


def promised(now: dict[str, str], expected: dict[str, str]) -> set[str]:
    """Return the files that have to be there, as expected, because something says that they are finished.

    A summary speaks for its store, a training's done.json for its weights, an exported file for itself.
    """
    wanted: set[str] = set()
    for name in now:
        if name.endswith(".summary.json") and "/." not in f"/{name}":
            store = f"{name.removesuffix('.summary.json')}.wsiseg.ome.zarr/"
            wanted |= {other for other in expected if other.startswith(store)}
        elif name == "done.json":
            wanted |= {other for other in expected if other.endswith(".safetensors")}
        elif name in ("slide.geojson", "slide.ome.tif"):
            wanted.add(name)
    return wanted


def _timeless(file: Path) -> bytes:
    data = file.read_bytes()
    if file.name in UNCOMPARED:
        return b""
    try:
        if file.name.endswith(".summary.json"):
            return json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
        if file.suffix == ".jsonl":
            rows = [_without_times(json.loads(line)) for line in data.splitlines()]
            return json.dumps(rows, sort_keys=True).encode()
        if file.suffix == ".csv":
            table = list(csv.DictReader(io.StringIO(data.decode())))
            return json.dumps([_without_times(row) for row in table], sort_keys=True).encode()
    except ValueError:  # damaged: then it differs as it is
        return data
    if file.suffix == ".html":
        return _SECONDS_OF_LIST.sub(rb"\1", _SECONDS_OF_PAGE.sub(b"", data))
    return data


_SECONDS_OF_PAGE = re.compile(rb"<dt>seconds</dt><dd>[^<]*</dd>")
_NUMBER = rb'<td class="number"[^>]*>[^<]*</td>'
_SECONDS_OF_LIST = re.compile(rb"((?:" + _NUMBER + rb"){2})" + _NUMBER)
"""In the list of slides the third number of each row: after the area and the share that is unread."""


def _without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in TIMES}
