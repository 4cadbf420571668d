"""Runs are typed: the shipped config is parsed, and what is wrong is named."""

from itertools import pairwise
from pathlib import Path

import pytest

from wsiseg.errors import UsageError
from wsiseg.training.config import PhantomData, StageConfig, read_training_config
from wsiseg.training.schedule import learning_rate

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_shipped_run_is_valid():
    config = read_training_config(CONFIGS / "train_tissue8_demo.yaml")
    assert config.name == "tissue8-demo"
    assert config.mpp == 1.0
    assert config.options["alpha3"] == 8


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("batches: 3", "batches: Extra inputs are not permitted"),
        ("batch: 0", "batch: Input should be greater than or equal to 1"),
        ("patch_px: 100", "patch_px: Input should be a multiple of 8"),
        ("data: {train_seed: 5, validation_seed: 9}", "seeds overlap"),
        ("precision: fp8", "precision: Input should be 'fp32' or 'bf16'"),
    ],
)
def test_wrong_keys_are_named(tmp_path, change, what):
    path = tmp_path / "run.yaml"
    path.write_text(f"name: x\nencoder: {{epochs: 1}}\nwhole: {{epochs: 1}}\n{change}\n")
    with pytest.raises(UsageError, match=what):
        read_training_config(path)


@pytest.mark.parametrize("text", ["[1, 2", "name: !!python/object/apply:os.system [echo]", "- 3"])
def test_files_that_are_no_config_are_refused(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"run\.yaml"):
        read_training_config(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_training_config(tmp_path / "none.yaml")


def test_seeds_may_touch_but_not_overlap():
    PhantomData(train_seed=0, train_count=10, validation_seed=10)
    with pytest.raises(ValueError, match="overlap"):
        PhantomData(train_seed=0, train_count=11, validation_seed=10)
    with pytest.raises(ValueError, match="overlap"):
        PhantomData(train_seed=100, train_count=10, validation_seed=95, validation_count=6)


def test_step_halves_as_published():
    stage = StageConfig(epochs=300, schedule="step", halve_every=100)
    assert [learning_rate(stage, at) for at in (0, 99.9, 100, 250)] == [5e-4, 5e-4, 2.5e-4, 1.25e-4]


def test_cosine_falls_from_the_first_rate_to_a_hundredth():
    stage = StageConfig(epochs=10, learning_rate=1e-3)
    rates = [learning_rate(stage, at / 10) for at in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[50] == pytest.approx(0.505e-3)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a > b for a, b in pairwise(rates))


def test_constant_is_constant():
    stage = StageConfig(epochs=10, schedule="constant")
    assert learning_rate(stage, 0) == learning_rate(stage, 9.9) == 5e-4
