"""Two processes that train together, started by torchrun on the CPU, and one that accumulates."""

import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch
import yaml
from train_child import TINY, Silent, tiny

from wsiseg.errors import UsageError
from wsiseg.training.processes import join
from wsiseg.training.run import train

ONE_STAGE = {"encoder": None, "whole": {"epochs": 1, "learning_rate": 1e-3}, "batch": 2}


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_two_processes_train_what_one_accumulates(tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(TINY | ONE_STAGE))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "wsiseg", "train", str(config), "-o", str(together), "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"]["file"] == "best.safetensors"
    train(tiny(**ONE_STAGE, accumulate=2), alone, Silent())
    one, other = (safetensors.torch.load_file(folder / "last.safetensors") for folder in (together, alone))
    statistics = [name for name in one if "running_" in name]
    assert statistics
    for name in one.keys() - set(statistics):
        assert torch.allclose(one[name], other[name], rtol=1e-3, atol=1e-5), name
    # Two processes see half of the batches each; their running statistics are averaged after the epoch.
    rows = [json.loads((folder / "metrics.jsonl").read_text()) for folder in (together, alone)]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)


def test_a_device_that_is_not_there_is_said():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="torch sees none"), join("cuda"):
        pass


def test_fp16_needs_a_gpu(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="needs a GPU"):
        train(tiny(precision="fp16"), tmp_path / "run", Silent())
