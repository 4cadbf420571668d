"""Runs killed at random moments: python benchmarks/faults/kill_runs.py [--kills 20] [--seed 1] [-o FOLDER].

Each command is run undisturbed once. Then, again and again, it is killed (SIGKILL, with all its children)
at a seeded random moment, perhaps several times, and run to its end. The files must be those of the
undisturbed run, byte for byte, and no others; a summary must never stand on a store that is not finished.
Every kill is a line of FOLDER/kills.jsonl; run again, it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.phantom.slide_file import write_phantom_slide

WALL_LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class Command:
    """One command whose interruption is tried."""

    name: str
    arguments: Callable[[Path, Path], list[str]]
    """(inputs, output folder) to the command line after `wsiseg`."""
    finished: str | None
    """Pattern of the file that says "finished"; None where whole files appear at once."""


COMMANDS = (
    Command(
        "predict", lambda given, out: ["predict", str(given / "slide.tif"), "-o", str(out)], "*.summary.json"
    ),
    Command(
        "predict-0.4",
        lambda given, out: ["predict", str(given / "slide.tif"), "-o", str(out), "--ngff", "0.4"],
        "*.summary.json",
    ),
    Command(
        "import",
        lambda given, out: [
            "import",
            str(given / "truth.png"),
            "--slide",
            str(given / "slide.tif"),
            "-o",
            str(out),
        ],
        "*.summary.json",
    ),
    Command(
        "export-geojson",
        lambda given, out: [
            "export",
            str(given / "done" / "slide.wsiseg.ome.zarr"),
            "--format",
            "geojson",
            "-o",
            str(out / "slide.geojson"),
        ],
        None,
    ),
)


def make_inputs(folder: Path) -> Path:
    """Write a slide, its truth as annotation, and a finished result; once."""
    done = folder / "done"
    if not done.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        slide = folder / "slide.tif"
        write_phantom_slide(slide, seed=3, width_px=6144, height_px=4096, mpp=0.5, truth=folder / "truth.png")
        fresh = folder / "done.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _finish(["predict", str(slide), "-o", str(fresh)])
        fresh.rename(done)
    return folder


def kill_once(command: Command, inputs: Path, out: Path, delay_s: float) -> bool:
    """Start a command and kill it after a while; return whether it was still running then."""
    child = subprocess.Popen(
        [sys.executable, "-m", "wsiseg.cli.main", *command.arguments(inputs, out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        child.wait(delay_s)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(60)
        return True


def content(folder: Path) -> dict[str, str]:
    """Return relative path to SHA-256 of every file; of a summary, without what tells the time."""
    found = {}
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        data = file.read_bytes()
        if file.name.endswith(".summary.json"):
            summary = json.loads(data)
            for key in ("seconds", "tasks_resumed"):
                summary.pop(key, None)
            data = json.dumps(summary, sort_keys=True).encode()
        found[file.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def try_command(
    command: Command, inputs: Path, folder: Path, rng: random.Random, reference: Any
) -> dict[str, Any]:
    """Kill a command one to three times and finish it; return what came of it."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    expected, seconds = reference
    out.mkdir(parents=True)
    killed, said = [], ""
    for _ in range(rng.choice((1, 1, 2, 3))):
        delay = round(rng.uniform(0.05, 1.1) * seconds, 2)
        if kill_once(command, inputs, out, delay):
            killed.append(delay)
        marker = next(out.glob(command.finished), None) if command.finished else None
        if marker is not None:
            now = {name: digest for name, digest in content(out).items() if ".ome.zarr/" in name}
            wanted = {name: digest for name, digest in expected.items() if ".ome.zarr/" in name}
            if now != wanted:
                said = "a summary stands on a store that is not finished"
    _finish(command.arguments(inputs, out))
    found = content(out)
    if not said and found != expected:
        other = sorted(set(found.items()) ^ set(expected.items()))
        said = f"not the files of an undisturbed run: {sorted({name for name, _ in other})[:5]}"
    shutil.rmtree(out)
    return {"killed_after_s": killed, "outcome": "wrong" if said else "identical", "said": said}


def _finish(arguments: list[str]) -> float:
    """Run a command to its end; return the seconds it took."""
    started = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-m", "wsiseg.cli.main", *arguments],
        capture_output=True, text=True, timeout=WALL_LIMIT_S, check=False,
    )  # fmt: skip
    if child.returncode:
        raise RuntimeError(
            f"wsiseg {' '.join(arguments)}: exit status {child.returncode}: {child.stderr[-500:]}"
        )
    return time.monotonic() - started


def run(kills: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Kill until there were so many kills, in turn over the commands; return all lines, old and new."""
    inputs = make_inputs(folder / "kill-inputs")
    journal = folder / "kills.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.is_file() else []
    references: dict[str, Any] = {}
    index = len(lines)
    with journal.open("a", encoding="utf-8") as out:
        while sum(len(line["killed_after_s"]) for line in lines) < kills:
            command = COMMANDS[index % len(COMMANDS)]
            if command.name not in references:
                undisturbed = folder / f"undisturbed-{command.name}"
                shutil.rmtree(undisturbed, ignore_errors=True)
                undisturbed.mkdir(parents=True)
                seconds = _finish(command.arguments(inputs, undisturbed))
                references[command.name] = content(undisturbed), seconds
            rng = random.Random(seed * 1_000_000 + index)
            line = {
                "command": command.name, "index": index,
                **try_command(command, inputs, folder, rng, references[command.name]),
            }  # fmt: skip
            out.write(json.dumps(line) + "\n")
            out.flush()
            lines.append(line)
            if line["outcome"] != "identical":
                print(json.dumps(line))
            index += 1
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table: kills and outcomes by command."""
    rows = ["| command | kills | runs finished | byte-identical | wrong |", "|---|---:|---:|---:|---:|"]
    for name in [*dict.fromkeys(line["command"] for line in lines), "all"]:
        mine = [line for line in lines if name in ("all", line["command"])]
        kills = sum(len(line["killed_after_s"]) for line in mine)
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
    parser.add_argument("-o", "--output", type=Path, default=Path("out/faults"))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.kills} kills")
    lines = run(given.kills, given.seed, given.output)
    print(table(lines))
    sys.exit(any(line["outcome"] != "identical" for line in lines))


if __name__ == "__main__":
    main()
