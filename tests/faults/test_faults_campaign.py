"""The short form of the fault campaign: kills at chosen changes to files, damaged slides, few open files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and limits memory as Linux does"),
    pytest.mark.timeout(900),  # half a minute of work, on a machine that may have other work
]
FAULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "faults"


def campaign(script, out, *arguments):
    """Run a part of the campaign; return what it wrote into its journal, and what it said."""
    command = [sys.executable, str(FAULTS / script), "-o", str(out), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=850, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (journal,) = out.glob("*.jsonl")
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]


def test_runs_killed_as_they_change_a_file_end_in_the_same_bytes(tmp_path):
    lines = campaign("kill_runs.py", tmp_path, "--changes", "--kills", "5", "--seed", "3")
    assert [len(line["killed_at"]) for line in lines] == [1] * 5
    assert {line["outcome"] for line in lines} == {"identical"}
    assert {line["command"] for line in lines} == {
        "predict", "predict-0.4", "batch", "train", "export-geojson",
    }  # fmt: skip


def test_damaged_slides_are_refused_flagged_or_the_same(tmp_path):
    nowhere = str(tmp_path / "no-real-slides")
    lines = campaign("mutate_slides.py", tmp_path, "--count", "30", "--seed", "11", "--shared", nowhere)
    assert len(lines) == 30
    assert len({line["slide"] for line in lines}) == 9
    outcomes = {line["outcome"] for line in lines}
    assert outcomes <= {"refused", "flagged", "equal", "differ"}
    assert {"refused", "flagged"} <= outcomes


def test_runs_that_may_open_few_files_say_so_in_one_line_and_go_on(tmp_path):
    lines = campaign("starved_runs.py", tmp_path, "--only", "open files")
    assert len(lines) == 6
    assert {line["outcome"] for line in lines} == {"as it should"}
    assert lines[0]["code"] == 1
    assert lines[0]["said"].startswith("wsiseg: too many open files")
