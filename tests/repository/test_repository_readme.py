"""The README's commands and Python are run, its tables compared with the program."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from wsiseg.cli.main import app
from wsiseg.phantom.slide_file import write_phantom_slide

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_RUN = "<!-- not run by the tests:"


@dataclass(frozen=True)
class Block:
    """A fenced block of the README."""

    language: str
    text: str
    is_run: bool


def fenced_blocks(text: str) -> list[Block]:
    """Return the blocks of a Markdown text; a comment in the line above says which are not run."""
    found: list[Block] = []
    lines, language, before = [], None, ""
    for line in text.splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines, is_run = line[3:], [], not before.startswith(NOT_RUN)
            else:
                found.append(Block(language, "".join(f"{item}\n" for item in lines), is_run))
                language = None
        elif language is not None:
            lines.append(line)
        before = line
    assert language is None, "a block is not closed"
    return found


def commands(language: str = "console") -> list[str]:
    """Return the command lines of the blocks that are run, in the README's order."""
    lines = [
        line
        for block in fenced_blocks(README)
        if block.language == language and block.is_run
        for line in block.text.splitlines()
    ]
    assert all(line.startswith("$ ") for line in lines), lines
    return [line.removeprefix("$ ") for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the README's reader stands: three small slides, one of them without what the others have."""
    at = tmp_path_factory.mktemp("reader")
    for seed, name in enumerate(("slide", "first", "second")):
        write_phantom_slide(at / "drawn.tiff", seed=seed, width_px=1000, height_px=800, mpp=0.5)
        (at / "drawn.tiff").rename(at / f"{name}.svs")
    return at


def run(argv, folder):
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def script() -> str:
    found = shutil.which("wsiseg", path=str(Path(sys.executable).parent))
    assert found, "wsiseg is not installed beside this Python"
    return found


def test_every_block_is_run_or_says_why_not():
    for block in fenced_blocks(README):
        assert block.language in ("console", "python"), block
    # A reason closes its comment, and stands right above a block.
    assert README.count(NOT_RUN) == sum(not block.is_run for block in fenced_blocks(README))
    assert len(re.findall(re.escape(NOT_RUN) + r" .+ -->\n```", README)) == README.count(NOT_RUN)


def test_a_block_that_is_not_run_is_told_from_one_that_is():
    text = f"{NOT_RUN} no slide -->\n```console\n$ a\n```\n\n```console\n$ b\n```\n"
    assert [(block.text, block.is_run) for block in fenced_blocks(text)] == [
        ("$ a\n", False),
        ("$ b\n", True),
    ]


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("wsiseg ")])
def test_command_runs_as_it_stands(line, folder):
    """In the README's order, in one folder, as a reader would."""
    _, *arguments = shlex.split(line)
    run([script(), *arguments], folder)


def test_commands_left_what_the_readme_says(folder):
    results = folder / "results"
    assert (results / "slide.wsiseg.ome.zarr" / "zarr.json").is_file()
    assert (results / "slide.summary.json").is_file()
    assert (results / "slide.overlay.png").read_bytes().startswith(b"\x89PNG")
    assert not (results / "slide.wsiseg-work").exists()
    assert {path.name for path in (folder / "cohort").glob("*.summary.json")} == {
        "first.summary.json",
        "second.summary.json",
    }
    assert (folder / "tissue8-demo.onnx").stat().st_size > 100_000


def test_python_runs_as_it_stands(folder):
    blocks = [block.text for block in fenced_blocks(README) if block.language == "python" and block.is_run]
    assert blocks
    for text in blocks:
        said = run([sys.executable, "-c", text], folder).stdout
        assert "malignant epithelium" in said


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_demo_draws_the_picture(tmp_path):
    """The recipe itself, in this environment in the place of a fresh one."""
    assert "make demo" in commands()
    stamp = tmp_path / "installed"
    stamp.touch()
    here = [f"STAMP={stamp}", f"BIN={Path(sys.executable).parent}", f"OUT={tmp_path / 'demo'}"]
    said = run(["make", "demo", *here], ROOT).stdout
    picture = tmp_path / "demo" / "phantom.overlay.png"
    assert picture.stat().st_size > 50_000
    assert str(picture) in said
    assert "not for diagnos" in said.lower()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_targets_exist():
    wanted = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert {"demo", "test"} <= set(wanted)
    for target in wanted:
        run(["make", "-n", target], ROOT)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is this."""
    table = README.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_option_table_is_complete():
    predict = get_command(app).commands["predict"]
    expected = {tuple(sorted(item.opts)) for item in predict.params if item.opts[0].startswith("-")}
    said = {tuple(sorted(re.findall(r"`(-[^`]+)`", row[0]))) for row in rows("option of `predict`")}
    assert said == expected - {("--help",)}


def test_exit_codes_are_those_of_the_program():
    from wsiseg import errors

    expected = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    main = (ROOT / "wsiseg" / "cli" / "main.py").read_text(encoding="utf-8")
    expected |= {int(code) for code in re.findall(r"sys\.exit\((\d+)\)", main)}
    assert {int(row[0]) for row in rows("exit code")} == expected


def test_readme_warns_where_results_are_seen():
    assert "Not for diagnostic use" in README.split("## Two commands")[0]
