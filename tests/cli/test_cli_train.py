"""wsiseg train as a user types it: lines, files, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from train_child import TINY

from wsiseg.cli.main import main
from wsiseg.models import load_model

ONE_STAGE = {"encoder": None, "whole": {"epochs": 1}}


def wsiseg(*arguments):
    command = [sys.executable, "-m", "wsiseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(TINY | ONE_STAGE))
    return path


def test_a_run_says_what_it_came_to_and_what_it_wrote(config, tmp_path):
    folder = tmp_path / "out"
    done = wsiseg("train", config, "-o", folder, "--set", "whole.epochs=2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["last"] == {
        "file": "last.safetensors",
        "epoch": 1,
        "mean_iou": found["last"]["mean_iou"],
    }
    lines = done.stderr.splitlines()
    assert sum(line.startswith("whole, epoch") for line in lines) == 2
    assert any("validation mean IoU" in line for line in lines)
    resolved = yaml.safe_load((folder / "config.yaml").read_text())
    assert resolved["whole"]["epochs"] == 2
    assert resolved["weight_decay"] == 5e-4  # what was not said stands there too
    assert list((folder / "tensorboard").glob("events.out.*"))
    assert load_model(folder / "best.safetensors").card.name == "tiny"


@pytest.mark.parametrize(
    ("settings", "code", "what"),
    [
        (["whole.epoch=2"], 2, "unknown key whole.epoch"),
        (["model.options.alpha9=2"], 2, "unknown option of espnet 'alpha9'"),
        (["model.mpp=null"], 2, "model.mpp is missing"),
        (["init.checkpoint=none.safetensors"], 3, "model 'none.safetensors' does not exist"),
        (["batch=64", "accumulate=2"], 2, "an epoch has 1 batches, but a step takes 2"),
    ],
)
def test_what_is_wrong_ends_in_one_line(config, tmp_path, settings, code, what, monkeypatch, capfd):
    given = [part for setting in settings for part in ("--set", setting)]
    monkeypatch.setattr(
        sys, "argv", ["wsiseg", "train", str(config), "-q", "-o", str(tmp_path / "o"), *given]
    )
    with pytest.raises(SystemExit) as end:
        main()
    said = capfd.readouterr().err
    assert end.value.code == code, said
    assert what in said
    assert len(said.splitlines()) == 1


def test_the_smoke_config_is_small():
    smoke = yaml.safe_load((Path(__file__).parents[2] / "configs" / "smoke.yaml").read_text())
    patches = smoke["data"]["patches_per_epoch"] * (smoke["encoder"]["epochs"] + smoke["whole"]["epochs"])
    assert patches * smoke["data"]["patch_px"] ** 2 < 15e6
