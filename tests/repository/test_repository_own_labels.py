"""docs/guides/your-own-labels.md, followed as it stands on generated slides; only the run is made short."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr
from PIL import Image
from safetensors import safe_open

from wsiseg.phantom.slide_file import write_phantom_slide

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guides" / "your-own-labels.md").read_text(encoding="utf-8")
NAMES = {0: "background", 1: "Tumor", 2: "Tumor", 3: "stroma", 4: "stroma", 6: "blood", 7: "necrosis"}
"""What somebody would draw over the labels of a phantom."""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.M | re.S)


def commands():
    """Return the guide's commands, in its order."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert all(line.startswith("$ wsiseg ") for line in lines), lines
    return [shlex.split(line.removeprefix("$ wsiseg ")) for line in lines]


def feature(name, x, y, side):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


def annotate(labels, path):
    """Draw a square wherever 32 px of a grid have one label alone, as a person draws sure areas."""
    side = 32
    features = []
    for y in range(0, labels.shape[0] - side, side):
        for x in range(0, labels.shape[1] - side, side):
            (label, *others) = np.unique(labels[y : y + side, x : x + side])
            if not others and int(label) in NAMES:
                features.append(feature(NAMES[int(label)], x, y, side))
    assert len({item["properties"]["classification"]["name"] for item in features}) > 1
    text = json.dumps({"type": "FeatureCollection", "features": features})
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the reader stands: the configs, and the guide's own list and classes with slides to fit."""
    at = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "configs", at / "configs")
    path = at / "configs" / "finetune.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["data"].update(patch_px=64, patches_per_epoch=8)
    config["whole"]["epochs"] = 1
    config.update(batch=2, workers=0, threads=1, device="cpu")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    slides = at / "my-slides"
    slides.mkdir()
    (classes,) = blocks("yaml")
    (rows,) = blocks("csv")
    (slides / "classes.yaml").write_text(classes, encoding="utf-8")
    (slides / "slides.csv").write_text(rows, encoding="utf-8")
    for seed, name in enumerate("abcd"):
        write_phantom_slide(
            slides / f"{name}.tiff",
            seed=seed,
            width_px=700,
            height_px=600,
            mpp=0.5,
            truth=slides / "truth.png",
        )
        (slides / f"{name}.tiff").rename(slides / f"{name}.svs")
        with Image.open(slides / "truth.png") as truth:
            annotate(np.asarray(truth), slides / f"{name}.geojson")
    (slides / "truth.png").unlink()
    return at


@pytest.mark.parametrize("arguments", commands(), ids=lambda arguments: arguments[0])
def test_command_runs_as_it_stands(arguments, folder):
    code = "from wsiseg.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"


def test_the_commands_left_what_the_guide_says(folder):
    names = [item["name"] for item in yaml.safe_load(blocks("yaml")[0])["classes"]]
    with safe_open(folder / "run" / "my-model" / "best.safetensors", "pt") as file:
        assert all(name in str(file.metadata()) for name in names)
    for name in ("curves.png", "samples.png"):
        assert (folder / "run" / "my-model" / name).read_bytes().startswith(b"\x89PNG")
    scores = json.loads((folder / "scores" / "evaluation.json").read_text(encoding="utf-8"))
    assert 0 <= scores["miou"] <= 1
    for name in ("confusion.png", "worst_cases.png"):
        assert (folder / "scores" / name).read_bytes().startswith(b"\x89PNG")
    assert (folder / "results" / "d.overlay.png").is_file()
    store = zarr.open_group(folder / "results" / "d.wsiseg.ome.zarr", mode="r")
    assert [item["name"] for item in store.attrs["wsiseg"]["classes"]] == names
    labels = np.asarray(store["labels/tissue/0"])
    assert set(np.unique(labels)) <= set(range(len(names)))
    assert (labels != 0).any()


def test_what_the_guide_says_of_defaults_holds():
    config = yaml.safe_load((ROOT / "configs" / "finetune.yaml").read_text(encoding="utf-8"))
    breast = yaml.safe_load((ROOT / "configs" / "train_breast.yaml").read_text(encoding="utf-8"))
    assert config["data"]["patches_per_epoch"] == 512
    assert breast["data"]["patches_per_epoch"] == 2000
    assert config["data"]["train"]["root"] == "my-slides"
    assert {config["data"][part]["split"] for part in ("train", "validation")} == {"train", "val"}
