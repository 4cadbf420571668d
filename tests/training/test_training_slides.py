"""Fine-tuning on slides with annotations, from the shipped config: generated slides, squares as GeoJSON."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from train_child import Silent

from wsiseg.config import load_config
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.models import load_model
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.training.config import RegionData, TrainConfig
from wsiseg.training.run import train

CONFIG = Path(__file__).parents[2] / "configs" / "finetune.yaml"
SPLITS = {"one": "train", "two": "train", "three": "val"}


def square(x, y, side, name):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}},
    }


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three slides, each with two annotated squares of the user's own two classes and three more."""
    root = tmp_path_factory.mktemp("my-slides")
    for seed, name in enumerate(SPLITS):
        write_phantom_slide(root / f"{name}.tiff", seed=seed, width_px=600, height_px=500, mpp=0.5)
        features = [square(60 + 90 * at, 120, 80, f"kind {at}") for at in range(5)]
        text = json.dumps({"type": "FeatureCollection", "features": features})
        (root / f"{name}.geojson").write_text(text)
    classes = [{"id": at, "name": f"kind {at}", "colour": [at, at, at]} for at in range(5)]
    (root / "classes.yaml").write_text(yaml.safe_dump({"classes": classes}))
    write_list(root / "slides.csv", SPLITS)
    write_list(root / "leaky.csv", SPLITS, patient="everyone")
    return root


def write_list(path, splits, patient=""):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", "annotation", "patient", "split"])
        for name, split in splits.items():
            writer.writerow([f"{name}.tiff", f"{name}.geojson", patient, split])


def small(root, *more):
    settings = [
        *(f"data.train.root={root}", f"data.validation.root={root}"),
        *("data.patch_px=64", "data.patches_per_epoch=8", "whole.epochs=1", "batch=2"),
        *("workers=0", "device=cpu", "threads=1", "samples=1"),
    ]
    return load_config(CONFIG, [*settings, *more], TrainConfig)


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_fine_tuning_to_ones_own_classes(slides, tmp_path):
    watcher = Silent()
    config = small(slides, "data.patch_mpp=[1.0, 1.5]")
    done = train(config, tmp_path / "run", watcher)
    assert "encoder.classifier" in done["replaced_layers"]
    assert any(line.startswith("begun anew for other classes: encoder.classifier") for line in watcher.lines)
    card = load_model(tmp_path / "run" / "best.safetensors").card
    assert [item.name for item in card.classes] == [f"kind {at}" for at in range(5)]
    assert card.mpp == 1.0  # the checkpoint's
    assert "2 annotated slides" in card.training_data
    assert card.scores["validation"]["mean_iou"] is not None
    facts = json.loads((tmp_path / "run" / "data.json").read_text())
    assert np.allclose(facts["frequencies"], 0.2, atol=0.03)


def test_a_patient_on_both_sides_is_refused(slides, tmp_path):
    config = small(slides, "data.train.list=leaky.csv", "data.validation.list=leaky.csv")
    with pytest.raises(UsageError, match="patient or slide 'everyone' is in training"):
        train(config, tmp_path / "run", Silent())


def test_a_slide_on_both_sides_is_refused(slides, tmp_path):
    with pytest.raises(UsageError, match="patient or slide 'one' is in training"):
        train(small(slides, "data.validation.split=train"), tmp_path / "run", Silent())


def test_a_slide_that_is_too_coarse_is_named(slides, tmp_path):
    said = r"one: the slide has 0\.5 um/px, but the model needs 0\.25 um/px"
    with pytest.raises(InputRefusedError, match=said):
        train(small(slides, "data.patch_mpp=[0.25]"), tmp_path / "run", Silent())


def test_the_config_for_breast_regions_trains(tmp_path):
    """List files and PNGs as published, labels in three equal channels."""
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        labels = np.kron(rng.integers(0, 8, (6, 8), dtype=np.uint8), np.ones((32, 32), np.uint8))
        Image.fromarray(rng.integers(0, 256, (192, 256, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(np.stack([labels] * 3, axis=-1)).save(tmp_path / f"{name}_label.png")
    (tmp_path / "train.txt").write_text("a.png, a_label.png, 1\nb.png, b_label.png, 2\n")
    (tmp_path / "val.txt").write_text("c.png, c_label.png, 1\n")
    settings = [
        *(f"data.train.root={tmp_path}", f"data.validation.root={tmp_path}"),
        *("data.patch_px=48", "data.patches_per_epoch=4", "encoder.epochs=1", "whole.epochs=1"),
        *("batch=2", "precision=fp32", "workers=0", "device=cpu", "threads=1", "samples=1"),
    ]
    config = load_config(CONFIG.parent / "train_breast.yaml", settings, TrainConfig)
    assert isinstance(config.data, RegionData)
    watcher = Silent()
    train(config, tmp_path / "run", watcher)
    assert len(watcher.steps) == 4
    card = load_model(tmp_path / "run" / "best.safetensors").card
    assert "2 labelled regions of slides (train)" in card.training_data
    assert len(card.classes) == 8
