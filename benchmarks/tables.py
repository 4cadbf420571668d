"""What every benchmark writes: its rows as JSON, and its table between two marks of docs/benchmarks.md.

With `--resume`, what is there already, by the same versions on the same machine with the same settings, is
kept: a long set of benchmarks goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
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


def parser(description: str | None, table: str) -> argparse.ArgumentParser:
    """Return a parser with what all benchmarks understand; `table` is the name of the result."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--table", default=table, help="name of the result, and its place in docs/benchmarks.md"
    )
    made.add_argument("--no-docs", action="store_true", help="print only")
    made.add_argument("--resume", action="store_true", help="skip what is there already")
    return made


def settings(given: argparse.Namespace) -> dict[str, str]:
    """Return what the result depends on."""
    how = ("table", "no_docs", "resume", "environment", "output")
    return {name: _plain(value) for name, value in vars(given).items() if name not in how}


def finished(given: argparse.Namespace, docs: Path = DOCS) -> bool:
    """Return whether `--resume` was given and the same result is there: versions, machine, settings."""
    path = docs / "benchmarks" / f"{given.table}.json"
    if not given.resume or not path.is_file():
        return False
    content = json.loads(path.read_text(encoding="utf-8"))
    same = {**content["machine"], "date": None} == {**machine(), "date": None}
    if not same or content.get("settings") != settings(given):
        return False
    print(f"{given.table}: already measured on {content['machine']['date']}; kept", flush=True)
    return True


def report(given: argparse.Namespace, rows: list[Row], note: str = "", *, docs: Path = DOCS) -> None:
    """Print a table; without `--no-docs` also write <docs>/benchmarks/<name>.json and docs/benchmarks.md.

    The page has a place for it: a line `<!-- name -->`, and later one `<!-- end -->`.
    """
    name, table = given.table, as_markdown(rows)
    print(f"\n{name}\n{table}\n{note}", flush=True)
    if given.no_docs:
        return
    (docs / "benchmarks").mkdir(exist_ok=True)
    content = {"machine": machine(), "settings": settings(given), "rows": rows, "note": note}
    (docs / "benchmarks" / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    taken = ", ".join(f"{key} {value}" for key, value in machine().items() if value is not None)
    place(name, f"{table}\n\n{note}\n\nTaken on: {taken}.", docs)


def place(name: str, body: str, docs: Path = DOCS) -> None:
    """Write a part of benchmarks.md, between the lines `<!-- name -->` and `<!-- end -->`."""
    page = docs / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    found = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- end -->", re.S)
    if not found.search(text):
        raise SystemExit(f"{page} has no place for {name}: add the lines <!-- {name} --> and <!-- end -->")
    whole = f"<!-- {name} -->\n{body}\n<!-- end -->"
    page.write_text(found.sub(lambda _: whole, text, count=1), encoding="utf-8")


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
        return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.2f}"
    return str(value)


def _plain(value: object) -> str:
    """Return a setting without the folders of this machine."""
    if isinstance(value, (list, tuple)):
        return " ".join(_plain(item) for item in value)
    return Path(value).name if isinstance(value, (Path, str)) else str(value)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else platform.processor()
