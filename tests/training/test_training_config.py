"""Runs are typed: every shipped config is parsed, and what is wrong is named."""

from itertools import pairwise
from pathlib import Path

import pytest

from wsiseg.config import load_config
from wsiseg.errors import UsageError
from wsiseg.models import build_model
from wsiseg.training.config import PhantomData, StageConfig, TrainConfig
from wsiseg.training.schedule import learning_rate

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = ("evaluate_", "calibrate_", "cluster_")
SHIPPED = [path for path in sorted(CONFIGS.rglob("*.yaml")) if not path.stem.startswith(OTHERS)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_run_is_valid(path):
    config = load_config(path, [], TrainConfig)
    if config.init is None:
        build_model(config.model.network, num_classes=8, **config.model.options)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("batches: 3", "unknown key batches"),
        ("batch: 0", "batch is 0: Input should be greater than or equal to 1"),
        ("data: {dataset: phantoms, patch_px: 100}", "patch_px is 100: Input should be a multiple of 8"),
        ("data: {dataset: phantoms, train_seed: 5, validation_seed: 9}", "seeds overlap"),
        ("precision: fp8", "precision is 'fp8': Input should be 'fp32', 'bf16' or 'fp16'"),
        ("model: {network: enet}", "enet has no encoder stage"),
        ("init: {checkpoint: x, freeze_encoder: true}", "leave one of the two out"),
        ("whole: {epochs: 1, rate: 2}", r"unknown key whole\.rate"),
    ],
)
def test_wrong_keys_are_named(tmp_path, change, what):
    path = tmp_path / "run.yaml"
    lines = {"data": "data: {dataset: phantoms}", "whole": "whole: {epochs: 1}"}
    lines[change.partition(":")[0]] = change
    path.write_text("\n".join(["name: x", "encoder: {epochs: 1}", *lines.values()]))
    with pytest.raises(UsageError, match=what):
        load_config(path, [], TrainConfig)


def test_seeds_may_touch_but_not_overlap():
    PhantomData(dataset="phantoms", train_seed=0, train_count=10, validation_seed=10)
    with pytest.raises(ValueError, match="overlap"):
        PhantomData(dataset="phantoms", train_seed=0, train_count=11, validation_seed=10)
    with pytest.raises(ValueError, match="overlap"):
        PhantomData(
            dataset="phantoms", train_seed=100, train_count=10, validation_seed=95, validation_count=6
        )


def test_what_is_not_said_is_as_published():
    config = TrainConfig(name="x", data=PhantomData(dataset="phantoms"), whole=StageConfig(epochs=300))
    assert (config.weight_decay, config.whole.learning_rate) == (5e-4, 5e-4)
    assert (config.whole.schedule, config.whole.halve_every) == ("step", 100)


def test_step_halves_as_published():
    stage = StageConfig(epochs=300, schedule="step", halve_every=100)
    assert [learning_rate(stage, at) for at in (0, 99.9, 100, 250)] == [5e-4, 5e-4, 2.5e-4, 1.25e-4]


def test_cosine_falls_from_the_first_rate_to_a_hundredth():
    stage = StageConfig(epochs=10, learning_rate=1e-3, schedule="cosine")
    rates = [learning_rate(stage, at / 10) for at in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[50] == pytest.approx(0.505e-3)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a > b for a, b in pairwise(rates))


def test_constant_is_constant():
    stage = StageConfig(epochs=10, schedule="constant")
    assert learning_rate(stage, 0) == learning_rate(stage, 9.9) == 5e-4
