"""A training that was killed goes on, and ends in the same bytes as one that was not."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from train_child import Silent, tiny

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.models import load_model
from wsiseg.training.run import train
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.state import Position, load_position

CHILD = Path(__file__).parents[1] / "train_child.py"
WEIGHTS = ("encoder.safetensors", "best.safetensors", "last.safetensors", "state.safetensors")


@pytest.fixture(scope="module", autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def child(folder, saves):
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder), str(saves)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(tiny(), folder, Silent())
    return folder


# Saves: 3 in the one epoch of the encoder, then 3 in each of two epochs of everything.
@pytest.mark.parametrize("saves", [2, 4, 9])
def test_killed_anywhere_it_ends_in_the_same_bytes(whole, tmp_path, saves):
    """In the first epoch, after the first stage, and after the very last step."""
    folder = tmp_path / "run"
    killed = child(folder, saves)
    assert killed.returncode == -getattr(signal, "SIGKILL", signal.SIGTERM), killed.stderr
    assert not (folder / "done.json").exists()
    train(tiny(), folder, Silent())
    for name in WEIGHTS:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert _scores(folder) == _scores(whole)
    assert not list(folder.glob(".*.partial"))


def _scores(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    keep = ("stage", "epoch", "loss", "learning_rate", "mean_iou", "pixel_accuracy", "best", "iou")
    return [{key: json.loads(line)[key] for key in keep} for line in lines]


def test_a_finished_run_is_left_alone(whole):
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}
    watcher = Silent()
    done = train(tiny(), whole, watcher)
    assert done["best"]["file"] == "best.safetensors"
    assert "is finished" in watcher.lines[0]
    changed = {path.name for path in whole.iterdir() if path.stat().st_mtime_ns != before.get(path.name)}
    assert changed <= {"config.yaml", "versions.json", ".lock"}


def test_another_config_is_refused_by_its_keys(whole):
    with pytest.raises(UsageError, match=r"seed \(was 1, now 2\)"):
        train(tiny(seed=2), whole, Silent())
    with pytest.raises(UsageError, match=r"whole\.epochs \(was 2, now 3\)"):
        train(tiny(whole={"epochs": 3, "learning_rate": 2e-3, "schedule": "cosine"}), whole, Silent())


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds files, but no run"):
        train(tiny(), tmp_path, Silent())


def test_before_the_first_state_another_config_is_welcome(tmp_path):
    """A first call with a mistake in its config does not take the folder."""
    with pytest.raises(UsageError, match="alpha9"):
        train(tiny(model={"options": {"alpha9": 1}, "mpp": 4.0}), tmp_path / "run", Silent())
    folder = RunFolder(tmp_path / "run")
    folder.claim(tiny())
    folder.release()


def test_two_processes_do_not_share_a_folder(tmp_path):
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    first.claim(tiny())
    with pytest.raises(UsageError, match="another process"):
        second.claim(tiny())
    first.release()
    second.claim(tiny())
    second.release()


def test_other_data_are_noticed(whole, tmp_path):
    facts = json.loads((whole / "data.json").read_text())
    for name in ("config.yaml", "state.safetensors"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    (tmp_path / "data.json").write_text(json.dumps(facts | {"mean": [1.0, 2.0, 3.0]}))
    with pytest.raises(UsageError, match=r"the data have changed since the run began \(mean\)"):
        train(tiny(), tmp_path, Silent())


def test_states_of_something_else_are_refused(whole, tmp_path):
    damaged = tmp_path / "state.safetensors"
    damaged.write_bytes((whole / "state.safetensors").read_bytes()[:-8])
    with pytest.raises(InputRefusedError, match="no state that a training can go on from"):
        load_position(damaged)
    safetensors.torch.save_file({"a": torch.zeros(1)}, damaged)
    with pytest.raises(InputRefusedError, match="no state"):
        load_position(damaged)
    assert load_position(whole / "state.safetensors") == Position(
        stage=1, epoch=2, best=load_position(whole / "state.safetensors").best
    )


def test_the_weights_have_a_full_card(whole):
    card = load_model(whole / "best.safetensors").card
    assert card.mpp == 4.0
    assert card.scores["validation"]["mean_iou"] is not None
    assert "2 generated phantoms" in card.training_data
    assert load_model(whole / "encoder.safetensors").card.architecture.name == "espnet-c"


def test_the_folder_has_what_a_person_looks_at(whole):
    for name in ("curves.png", "samples.png"):
        assert (whole / name).read_bytes().startswith(b"\x89PNG")
    rows = (whole / "metrics.csv").read_text().splitlines()
    assert rows[0].startswith("stage,stage_index,epoch,loss,learning_rate,mean_iou")
    assert len(rows) == 4
    assert "torch" in json.loads((whole / "versions.json").read_text())
    assert "is done" in (whole / "train.log").read_text()
