"""Runs that lack something: python benchmarks/faults/starved_runs.py [--only TEXT] [-o FOLDER].

`predict` gets too little disk (a limit on the size of a file, which fails as a full disk does, with another
number), too little memory (a limit on its address space), or too few open files. It has to end in one line
and an exit code that says so, without the mark of a finished result; the same command with enough of
everything then has to end in the bytes of an undisturbed run. Every run is a line of FOLDER/starved.jsonl.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import sys
from pathlib import Path
from typing import Any

from forked_commands import preload, run
from kill_inputs import make_inputs
from kill_runs import COMMANDS, Place, Undisturbed, undisturbed
from run_content import promised

MIB = 2**20
FILE, MEMORY, HANDLES = resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_NOFILE
LIMITS = (
    *(("bytes in a file", FILE, size) for size in (1000, 10_000, 60_000)),
    *(("memory beyond that at the start", MEMORY, size * MIB) for size in (40, 80, 120, 200, 300, 500)),
    *(("open files beyond those at the start", HANDLES, count) for count in (0, 2, 5, 8, 12, 16)),
)
"""What it is, the limit, and bytes or files; of memory and files, beyond what there is at the start."""


def starve(what: int, amount: int) -> None:
    """Lower one limit of this process."""
    if what == resource.RLIMIT_AS:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        amount += pages * resource.getpagesize()
    elif what == resource.RLIMIT_NOFILE:
        amount += len(list(Path("/proc/self/fd").iterdir())) - 1  # that of the list itself
    resource.setrlimit(what, (amount, amount))


def try_limit(name: str, what: int, amount: int, place: Place, expected: Undisturbed) -> dict[str, Any]:
    """Run starved, then again with enough; return what came of it."""
    place.empty()
    arguments = COMMANDS[0].arguments(place.inputs, place.out)
    code = run(arguments, place.said, place.scratch, functools.partial(starve, what, amount))
    lines = [
        line
        for line in place.said.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip() and "warning" not in line.lower()
    ]
    now = place.found()
    wrong = ""
    if any(now.get(file) != expected.files[file] for file in promised(now, expected.files)):
        wrong = "said to be finished, but is not"
    elif code != 0 and (len(lines) != 1 or "Traceback" in lines[0]):
        wrong = f"not one line: {len(lines)} lines"
    elif code < 0:
        wrong = f"ended by signal {-code}, without a word"
    elif run(arguments, place.said, place.scratch, lambda: None) != 0 or place.found() != expected.files:
        wrong = "with enough of everything, not the files of an undisturbed run"
    said = (lines[-1] if lines else "").replace(str(place.out), "OUT").replace(str(place.inputs), "IN")
    said = said.replace(sys.prefix, "PREFIX")
    shown = f"{amount / MIB:g} MiB" if what == resource.RLIMIT_AS else f"{amount:,}"
    limit = f"{name}: {shown}"
    return {"limit": limit, "code": code, "said": said[:160], "outcome": wrong or "as it should"}


def run_all(folder: Path, only: str = "") -> list[dict[str, Any]]:
    """Try every limit whose name has `only` in it; return a line each."""
    folder = folder.absolute()
    inputs = make_inputs(folder / "kill-inputs")
    place = Place(inputs, folder / "out", folder / "tmp", folder / "said.txt")
    expected = undisturbed(COMMANDS[0], place)
    lines = []
    with (folder / "starved.jsonl").open("w", encoding="utf-8") as out:
        for name, what, amount in (limit for limit in LIMITS if only in limit[0]):
            lines.append(try_limit(name, what, amount, place, expected))
            out.write(json.dumps(lines[-1]) + "\n")
            out.flush()
    place.empty()
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table: what each got."""
    rows = ["| at most | exit | what it says | then |", "|---|---:|---|---|"]
    for line in lines:
        rows.append(f"| {line['limit']} | {line['code']} | {line['said'] or 'done'} | {line['outcome']} |")
    return "\n".join(rows)


def main() -> None:
    """Try every limit and print the table; exit status 1 where one did not end as it should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="limits whose name has this in it")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/faults"))
    given = parser.parse_args()
    preload()
    lines = run_all(given.output, given.only)
    print(table(lines))
    sys.exit(any(line["outcome"] != "as it should" for line in lines))


if __name__ == "__main__":
    main()
