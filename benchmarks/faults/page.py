"""Write what a campaign came to into docs/: python benchmarks/faults/page.py out/faults-full.

docs/benchmarks/faults.json gets the counts, what was given, seeds, versions and date; docs/reliability.md the
tables, between its marks. What was not run is not on the page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_files
import kill_runs
import mutate_slides
import starved_runs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tables import DOCS, machine

PARTS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], str]]] = {
    "kills": ("kills.jsonl", kill_runs.table),
    "mutations": ("mutations.jsonl", mutate_slides.table),
    "starved": ("starved.jsonl", starved_runs.table),
    "hostile": ("hostile.jsonl", hostile_files.table),
}
"""Name on the page: its journal, and what makes a table of the journal's lines."""


def counted(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the counts of outcomes, by what was tried; kills and seeds where there are any."""
    what = next((key for key in ("command", "slide", "limit", "case") if key in lines[0]), None)
    found: dict[str, Any] = {"tried": len(lines)}
    if "killed_at" in lines[0]:
        found["kills"] = sum(len(line["killed_at"]) for line in lines)
    outcome = "outcome" if "outcome" in lines[0] else "passed"
    found["outcomes"] = dict(Counter(str(line[outcome]) for line in lines))
    if what in ("command", "slide"):
        found["by"] = {
            name: dict(Counter(str(line[outcome]) for line in lines if line[what] == name))
            for name in dict.fromkeys(line[what] for line in lines)
        }
    if what == "slide":  # seeds are 1,000,000 times the campaign's, plus the number of the mutation
        found["seeds"] = sorted({line["seed"] // 1_000_000 for line in lines})
        found["slowest_s"] = max(line["seconds"] for line in lines)
    elif "seed" in lines[0]:
        found["seeds"] = sorted({line["seed"] for line in lines})
    return found


def main() -> None:
    """Write the JSON and the page's tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", type=Path, help="folder that the campaign wrote")
    given = parser.parse_args()
    taken_on = {key: str(value).partition("+")[0] for key, value in machine().items() if value is not None}
    content: dict[str, Any] = {"machine": taken_on}
    page = DOCS / "reliability.md"
    text = page.read_text(encoding="utf-8")
    for name, (file, table) in PARTS.items():
        journal = given.campaign / file
        if not journal.is_file():
            continue
        lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
        content[name] = counted(lines)
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not start or not end:
            raise SystemExit(f"{page}: has no place for {name}")
        seeds = content[name].get("seeds")
        taken = f"Taken on {content['machine']['date']}" + (f", seed {seeds}" if seeds else "")
        text = f"{before}{start}{taken}.\n\n{table(lines)}\n{end}{after}"
    page.write_text(text, encoding="utf-8")
    target = DOCS / "benchmarks" / "faults.json"
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
