"""The shipped configs train: two steps and more of each, on tiny data in the official layouts."""

from pathlib import Path

import official_layouts as made
import pytest
import torch
from train_child import Silent

from wsiseg.config import load_config
from wsiseg.errors import UsageError
from wsiseg.models import load_model
from wsiseg.training.config import PictureData, TrainConfig
from wsiseg.training.run import train

CONFIGS = Path(__file__).parents[2] / "configs"
ON_PICTURES = sorted([*CONFIGS.glob("ablations/*.yaml"), CONFIGS / "train_cityscapes.yaml"])


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(path, root, *more):
    settings = [
        f"data.train.root={root}",
        f"data.validation.root={root}",
        "data.sizes_px=[[64, 32], [32, 32]]",
        *("batch=1", "workers=0", "precision=fp32", "device=cpu", "whole.epochs=1", "samples=0"),
    ]
    return load_config(path, [*settings, *more], TrainConfig)


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp("cityscapes")
    made.cityscapes(root, "train")
    return made.cityscapes(root, "val")


@pytest.mark.parametrize("path", ON_PICTURES, ids=lambda path: path.stem)
def test_a_config_for_streets_trains(path, streets, tmp_path):
    two_stages = ["encoder.epochs=1"] if path.stem == "train_cityscapes" else []
    config = small(path, streets, *two_stages)
    watcher = Silent()
    train(config, tmp_path / "run", watcher)
    assert len(watcher.steps) == 6 * (1 + len(two_stages))  # 3 pictures at 2 sizes
    card = load_model(tmp_path / "run" / "best.safetensors").card
    assert card.architecture.options == config.model.options
    assert (card.domain, card.input_scale, card.mpp) == ("photo", 0.5, None)
    assert len(card.classes) == 19
    assert "3 pictures of cityscapes train" in card.training_data
    assert any("officially 2975" in line for line in watcher.lines)


def test_the_config_for_voc_trains(tmp_path):
    root = made.voc(tmp_path / "voc")
    config = load_config(CONFIGS / "train_voc.yaml", [], TrainConfig)
    assert isinstance(config.data, PictureData)
    splits = (config.data.train.split, config.data.validation.split)
    assert splits == ("train", "val")
    # The generated copy has one list; without validation the last weights are the best.
    config = load_config(
        CONFIGS / "train_voc.yaml",
        [
            *(f"data.train.root={root}", "data.train.split=val", "data.validation=null"),
            *("data.sizes_px=[[64, 64]]", "batch=1", "workers=0", "precision=fp32", "device=cpu"),
            *("encoder.epochs=1", "whole.epochs=2"),
        ],
        TrainConfig,
    )
    done = train(config, tmp_path / "run", Silent())
    assert done["best"] == {"file": "best.safetensors", "epoch": 1, "mean_iou": None}
    assert "not scored" in load_model(tmp_path / "run" / "best.safetensors").card.scores_note


def test_the_same_pictures_on_both_sides_are_refused(streets, tmp_path):
    config = small(CONFIGS / "train_cityscapes.yaml", streets, "data.validation.split=train")
    with pytest.raises(UsageError, match="is in training and in validation"):
        train(config, tmp_path / "run", Silent())
