"""What every benchmark writes: its rows as JSON, and its table between two marks of docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
PACKAGES = ("wsiseg", "torch", "openvino", "onnxruntime", "zarr", "numpy", "openslide-bin", "simplejpeg")

Row = dict[str, float | int | str | None]


def machine() -> dict[str, str | int | None]:
    """Return what the figures were taken on."""
    found: dict[str, str | int | None] = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def report(name: str, rows: list[Row], note: str = "", *, docs: Path | None = DOCS) -> None:
    """Print a table; with `docs`, also write <docs>/benchmarks/<name>.json and the table in benchmarks.md.

    The page has a place for it: a line `<!-- name -->`, and later one `<!-- end -->`.
    """
    table = as_markdown(rows)
    print(f"\n{name}\n{table}\n{note}", flush=True)
    if docs is None:
        return
    (docs / "benchmarks").mkdir(exist_ok=True)
    content = {"machine": machine(), "rows": rows, "note": note}
    (docs / "benchmarks" / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page = docs / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    place = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- end -->", re.S)
    if not place.search(text):
        raise SystemExit(f"{page} has no place for {name}: add the lines <!-- {name} --> and <!-- end -->")
    taken = ", ".join(f"{key} {value}" for key, value in machine().items() if value is not None)
    body = f"<!-- {name} -->\n{table}\n\n{note}\n\nTaken on: {taken}.\n<!-- end -->"
    page.write_text(place.sub(lambda _: body, text, count=1), encoding="utf-8")


def as_markdown(rows: list[Row]) -> str:
    """Return rows with the same keys as a Markdown table."""
    if not rows:
        return "(nothing measured)"
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_cell(row.get(head)) for head in heads) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return str(value)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else platform.processor()
