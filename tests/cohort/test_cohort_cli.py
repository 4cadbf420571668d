"""The verbs batch, status and report: what they refuse, what they say last, and their exit codes."""

import json

import pytest
from typer.testing import CliRunner

from wsiseg.cli.main import app
from wsiseg.errors import UsageError

OPTIONS = ("--tissue", "none", "--runtime", "torch", "--precision", "fp32")


def run(*arguments):
    return CliRunner().invoke(app, [str(item) for item in arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "0/3"], "I from 1 to N"),
        (["--shard", "4/3"], "I from 1 to N"),
        (["--shard", "3"], "I from 1 to N"),
        (["--shard", "1/2", "--workers", "2"], "without workers of their own"),
        (["--scheduler", "host:1"], "such as tcp://host:8786"),
        (["--scheduler", "tcp://host:1", "--workers", "2"], "scheduler's own workers"),
        (["--scheduler", "tcp://host:1", "--cluster", "c.yaml"], "give one"),
        (["--cluster", "none.yaml"], "cannot be read"),
        (["--workers", "0"], "expected 1 to 1024"),
        (["--grain", "tile"], "auto, slide or block"),
        (["--tissue", "mask.png"], "auto or none"),
        (["--stage", "x", "--stage-gb", "0"], "more than 0"),
        (["--hang-minutes", "0"], "more than 0"),
        (["--ngff", "0.6"], "0.5 or 0.4"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, slides, arguments, said):
    result = run("batch", slides, "-o", tmp_path / "out", *arguments)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_batch_status_and_report(tmp_path, slides, model_file):
    out = tmp_path / "out"
    result = run("batch", slides, "-o", out, "--model", model_file, *OPTIONS)
    assert result.exit_code == 5
    assert result.stdout == f"{out / 'index.html'}\n"
    last = result.stderr.splitlines()
    assert last[-1] == "wsiseg: 3 done, 1 failed"
    assert last[-2].startswith("wsiseg: broken: failed: broken.svs:")
    said = run("status", out)
    assert said.exit_code == 0
    assert said.stdout.splitlines()[0].startswith("failed   broken: ")
    assert said.stdout.splitlines()[-1] == "3 done, 1 failed"
    found = json.loads(run("status", out, "--json").stdout)
    assert found["at_work"] is False
    assert [row["state"] for row in found["slides"]] == ["done", "done", "failed", "done"]
    (out / "index.html").unlink()
    made = run("report", out)
    assert (made.exit_code, str(out / "index.html") in made.stdout) == (0, True)
    assert (out / "index.html").is_file()
    assert isinstance(run("status", tmp_path).exception, UsageError)
