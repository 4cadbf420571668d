"""Damaged slides: python benchmarks/faults/mutate_slides.py [--count 150] [--seed 1] [-o FOLDER].

Each slide is copied, damaged by a seeded mutation, and described (as `info` does), read and predicted in a
forked child with a limit on time and memory. Every outcome is a line of FOLDER/mutations.jsonl; run again, it
goes on.

refused   one line says why            flagged   what could not be read is marked unread
equal     pixels and labels as before  differ    the damage decodes to other pixels, and nothing says so
Never acceptable: blank (fill values for pixels, unflagged), lost (unread, but no label says so),
error (a traceback), crash (a signal), hang, memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colour_model import colour_model
from forked_commands import preload
from mutations import mutate
from originals import Original, made_originals
from reading import Truth, in_child, judge, truth_of

ALLOWED = ("refused", "flagged", "equal", "differ")
DEFECTS = ("blank", "lost", "error", "crash", "hang", "memory")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def run(
    count: int, seed: int, folder: Path, shared: Path | None, *, only: str | None = None
) -> list[dict[str, Any]]:
    """Try `count` mutations, spread evenly over the originals; return all lines, old and new."""
    import torch

    torch.set_num_threads(1)
    preload()
    model = colour_model()
    originals = [item for item in made_originals(folder / "originals", shared) if only in (None, item.name)]
    journal = folder / "mutations.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.is_file() else []
    done = {(line["slide"], line["seed"]) for line in lines}
    truths: dict[str, Truth] = {}
    with journal.open("a", encoding="utf-8") as out:
        for index, original in zip(range(count), _turns(originals), strict=False):
            at = seed * 1_000_000 + index
            if (original.name, at) in done:
                continue
            if original.name not in truths:
                truths[original.name] = truth_of(original.path, original.mpp, model)
            line = {"slide": original.name, "seed": at, **_try(original, at, truths[original.name], model)}
            out.write(json.dumps(line) + "\n")
            out.flush()
            lines.append(line)
            if line["outcome"] not in ALLOWED:
                print(json.dumps(line))
    return lines


def _turns(originals: list[Original]) -> Iterator[Original]:
    """Yield the originals round after round, the slow ones in some rounds only."""
    number = 0
    while True:
        yield from (item for item in originals if number % item.every == 0)
        number += 1


def _try(original: Original, seed: int, truth: Truth, model: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        name = original.path.name
        path, said = mutate(original.kind, original.path, Path(folder) / name, seed)
        started = time.monotonic()
        found = in_child(lambda: judge(path, truth, original.mpp, model))
    found["said"] = str(found["said"]).replace(f"{folder}/", "")
    if found["outcome"] == "blank" and original.plain:
        found["outcome"] = "differ"
    return {"mutation": said, "seconds": round(time.monotonic() - started, 2), **found}


def table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table: outcomes by slide."""
    columns = [*ALLOWED, *DEFECTS]
    rows = ["| slide | tried | " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) + 1)]
    names = list(dict.fromkeys(line["slide"] for line in lines))
    for name in [*names, "all"]:
        counts = Counter(line["outcome"] for line in lines if name in ("all", line["slide"]))
        cells = [str(counts[column]) for column in columns]
        rows.append(f"| {name} | {counts.total()} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run the campaign and print its table; exit status 1 where an outcome is a defect."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one original, by name")
    parser.add_argument(
        "--shared", type=Path, default=SHARED, help="folder with real slides, if there is one"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/faults"))
    parser.add_argument("--fresh", action="store_true", help="forget what was tried before")
    given = parser.parse_args()
    if given.fresh:
        shutil.rmtree(given.output, ignore_errors=True)
    shared = given.shared if given.shared.is_dir() else None
    print(f"seed {given.seed}, {given.count} mutations, real slides: {'yes' if shared else 'none here'}")
    lines = run(given.count, given.seed, given.output, shared, only=given.only)
    print(table(lines))
    sys.exit(any(line["outcome"] in DEFECTS for line in lines))


if __name__ == "__main__":
    main()
