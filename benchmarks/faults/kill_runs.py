"""Runs killed at random moments: python benchmarks/faults/kill_runs.py [--kills 20] [--seed 1] [-o FOLDER].

Each command is run undisturbed once. Then, again and again, it is killed (SIGKILL, with all its children)
at a seeded random moment, perhaps several times, and run to its end. With --changes it is killed as it is
about to make the n-th change to a file or folder instead, which no machine is too fast for. The files must
be those of the undisturbed run, byte for byte, and no others, here or in the folder for temporary files.
What says "finished" must never stand on something that is not: it is looked at after every kill.
Every run is a line of FOLDER/kills.jsonl; run again, it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forked_commands import Changes, finish, kill_after, kill_at_change, preload
from kill_inputs import make_inputs
from run_content import content, promised

import wsiseg


@dataclass(frozen=True, slots=True)
class Command:
    """One command whose interruption is tried."""

    name: str
    arguments: Callable[[Path, Path], list[str]]
    """(inputs, output folder) to the command line after `wsiseg`."""


def _predict(given: Path, out: Path) -> list[str]:
    return ["predict", str(given / "slide.tif"), "-o", str(out), "-q"]


def _export(form: str, name: str) -> Callable[[Path, Path], list[str]]:
    def arguments(given: Path, out: Path) -> list[str]:
        store = str(given / "done" / "slide.wsiseg.ome.zarr")
        return ["export", store, "--format", form, "-o", str(out / name), "--overwrite"]

    return arguments


COMMANDS = (
    Command("predict", _predict),
    Command("predict-0.4", lambda given, out: [*_predict(given, out), "--ngff", "0.4", "--confidence"]),
    Command("batch", lambda given, out: ["batch", str(given / "cohort"), "-o", str(out), "-q"]),
    Command("train", lambda given, out: ["train", str(given / "train.yaml"), "-o", str(out), "-q"]),
    Command("export-geojson", _export("geojson", "slide.geojson")),
    Command("export-ome-tiff", _export("ome-tiff", "slide.ome.tif")),
    Command(
        "import",
        lambda given, out: [
            "import", str(given / "truth.png"), "--slide", str(given / "slide.tif"), "-o", str(out),
        ],
    ),
)  # fmt: skip


MOST_MISSES = 4
"""So often a command may have ended before it was killed; then its line has no kill."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of a campaign."""

    inputs: Path
    out: Path
    scratch: Path
    said: Path

    def empty(self) -> None:
        """Make the output and the folder for temporary files anew."""
        for folder in (self.out, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def found(self) -> dict[str, str]:
        """Return what lies in both."""
        left = {f"(temporary) {name}": digest for name, digest in content(self.scratch).items()}
        return content(self.out) | left


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a command gives where nothing happens to it."""

    files: dict[str, str]
    seconds: float
    changes: int


def undisturbed(command: Command, place: Place) -> Undisturbed:
    """Run a command to its end, or return what an earlier call with the same code and inputs found."""
    state = hashlib.sha256()
    for file in sorted(Path(wsiseg.__file__).parent.rglob("*.py")):
        state.update(file.read_bytes())
    kept = place.inputs / f"undisturbed-{command.name}-{state.hexdigest()[:16]}.json"
    if kept.is_file():
        return Undisturbed(**json.loads(kept.read_text(encoding="utf-8")))
    place.empty()
    changes = Changes(place.out)
    seconds = finish(command.arguments(place.inputs, place.out), place.said, place.scratch, changes)
    found = Undisturbed(place.found(), seconds, changes.count)
    kept.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def try_command(
    command: Command, place: Place, rng: random.Random, expected: Undisturbed, *, at_changes: bool
) -> dict[str, Any]:
    """Kill a command, at seconds up to three times, and finish it; return what came of it."""
    place.empty()
    arguments = command.arguments(place.inputs, place.out)
    killed: list[float] = []
    said, misses = "", 0
    wanted = 1 if at_changes else rng.choice((1, 1, 2, 3))
    while len(killed) < wanted and misses < MOST_MISSES:
        if at_changes:
            at: float = rng.randint(1, expected.changes)
            hit = kill_at_change(arguments, place.said, place.scratch, Changes(place.out, int(at)))
        else:  # sooner after each miss: the machine may have less to do than in the undisturbed run
            at = round(rng.uniform(0.0, 0.5**misses) * expected.seconds, 3)
            hit = kill_after(arguments, place.said, place.scratch, at)
        if not hit:
            misses += 1
            if killed:
                break
            place.empty()
            continue
        killed.append(at)
        now = content(place.out)
        for name in promised(now, expected.files):
            if now.get(name) != expected.files[name]:
                said = said or f"said to be finished, but {name} is not what it has to be"
    try:
        finish(arguments, place.said, place.scratch)
        found = place.found()
        if not said and found != expected.files:
            other = {name for name, _ in set(found.items()) ^ set(expected.files.items())}
            said = f"not the files of an undisturbed run: {sorted(other)[:5]}"
    except RuntimeError as error:
        said = said or str(error)
    return {"killed_at": killed, "outcome": "wrong" if said else "identical", "said": said}


def run(kills: int, seed: int, folder: Path, *, at_changes: bool = False) -> list[dict[str, Any]]:
    """Kill until there were so many kills, in turn over the commands; return all lines, old and new."""
    folder = folder.absolute()
    place = Place(
        make_inputs(folder / "kill-inputs"),
        folder / "out",
        folder / "tmp",
        folder / "said.txt",
    )
    journal = folder / "kills.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.is_file() else []
    references: dict[str, Undisturbed] = {}
    with journal.open("a", encoding="utf-8") as out:
        while sum(len(line["killed_at"]) for line in lines) < kills:
            index = len(lines)
            command = COMMANDS[index % len(COMMANDS)]
            if command.name not in references:
                references[command.name] = undisturbed(command, place)
            rng = random.Random(seed * 1_000_000 + index)
            line = {
                "command": command.name,
                "index": index,
                "seed": seed,
                "at": "change" if at_changes else "second",
            }
            line |= try_command(command, place, rng, references[command.name], at_changes=at_changes)
            out.write(json.dumps(line) + "\n")
            out.flush()
            lines.append(line)
            if line["outcome"] != "identical":
                print(json.dumps(line), flush=True)
    place.empty()
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table: kills and outcomes by command."""
    rows = ["| command | kills | runs finished | byte-identical | wrong |", "|---|---:|---:|---:|---:|"]
    for name in [*dict.fromkeys(line["command"] for line in lines), "all"]:
        mine = [line for line in lines if name in ("all", line["command"])]
        kills = sum(len(line["killed_at"]) for line in mine)
        good = sum(line["outcome"] == "identical" for line in mine)
        rows.append(f"| {name} | {kills} | {len(mine)} | {good} | {len(mine) - good} |")
    return "\n".join(rows)


def main() -> None:
    """Run the campaign and print its table; exit status 1 where a run ended in other files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--changes", action="store_true", help="kill at changes to files")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/faults"))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.kills} kills", flush=True)
    preload()
    lines = run(given.kills, given.seed, given.output, at_changes=given.changes)
    print(table(lines))
    sys.exit(any(line["outcome"] != "identical" for line in lines))


if __name__ == "__main__":
    main()
