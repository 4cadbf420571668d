"""wsiseg calibrate on generated tissue: a new card, the same weights, errors measured on the other split."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

from wsiseg.class_map import TISSUE8
from wsiseg.models import load_model, read_card
from wsiseg.models.files import find_model
from wsiseg.models.normalise import Segmenter
from wsiseg.phantom.generate import generate_phantom

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "calibrate_folder.yaml"
SIDE = 320


def write_pictures(root, seeds):
    for seed in seeds:
        made = generate_phantom(seed, SIDE, SIDE, 1.0)
        for name, array in (("images", made.rgb), ("masks", made.labels)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / name / f"{seed}.png")
    classes = [f"  - {item.model_dump_json(include={'id', 'name', 'colour'})}" for item in TISSUE8.classes]
    (root / "classes.yaml").write_text("classes:\n" + "\n".join(classes) + "\n")
    return root


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    at = tmp_path_factory.mktemp("splits")
    return write_pictures(at / "fit", (11, 12)), write_pictures(at / "test", (13, 14))


def given(splits, output):
    fit, test = splits
    return ["calibrate", CONFIG, "--set", f"fit.root={fit}", "--set", f"test.root={test}", "-o", output]


def slow(root, temperature):
    """Mean negative log likelihood and calibration error over whole pictures, pixel by pixel."""
    model = load_model("tissue8-demo")
    sure, right, likely = [], [], []
    for path in sorted((root / "images").iterdir()):
        rgb = np.asarray(Image.open(path))
        truth = np.asarray(Image.open(root / "masks" / path.name))
        with torch.inference_mode():
            logits = Segmenter(model).logits(torch.from_numpy(rgb[None].copy()))[0] / temperature
        share = logits.double().softmax(0).numpy()
        sure.append(share.max(0).ravel())
        right.append((share.argmax(0) == truth).ravel())
        likely.append(np.take_along_axis(share, truth[None].astype(int), 0).ravel())
    sure, right = np.concatenate(sure), np.concatenate(right)
    part = np.clip(np.ceil(sure * 15) - 1, 0, 14)
    error = sum(abs(right[part == n].sum() - sure[part == n].sum()) for n in range(15)) / len(sure)
    return -np.log(np.concatenate(likely)).mean(), error


def test_a_new_card_and_the_same_weights(splits, tmp_path, here):
    code, said, errors = here(*given(splits, tmp_path / "out"), "--set", "sample_px=1000000", "--json")
    assert code == 0, errors
    result = json.loads(said)
    path = tmp_path / "out" / "tissue8-demo.safetensors"
    old, new = read_card("tissue8-demo"), read_card(path)
    assert new.temperature == pytest.approx(result["temperature"])
    assert new.calibrated
    assert not old.calibrated
    changed = {"temperature": new.temperature, "temperature_note": new.temperature_note}
    assert new == old.model_copy(update=changed)
    tensors = [safetensors.numpy.load_file(file) for file in (find_model("tissue8-demo"), path)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(tensors[0][name].tobytes() == tensors[1][name].tobytes() for name in tensors[0])
    assert json.loads((tmp_path / "out" / "calibration.json").read_text()) == result
    assert str(tmp_path.parent) not in said + new.temperature_note

    fit, test = splits
    assert result["fit"]["nll_before"] == pytest.approx(slow(fit, 1.0)[0], rel=1e-3)
    assert result["fit"]["nll_after"] == pytest.approx(slow(fit, new.temperature)[0], rel=1e-3)
    assert result["fit"]["nll_after"] < slow(fit, new.temperature * 1.1)[0]
    assert result["fit"]["nll_after"] < slow(fit, new.temperature / 1.1)[0]
    assert result["test"]["ece_before"] == pytest.approx(slow(test, 1.0)[1], abs=2e-4)
    assert result["test"]["ece_after"] == pytest.approx(slow(test, new.temperature)[1], abs=2e-4)
    assert result["test"]["labelled_px"] == 2 * SIDE * SIDE
    assert result["fit"]["sampled_px"] == result["fit"]["labelled_px"] == 2 * SIDE * SIDE
    assert "pixels of 2 pictures of image-folder all in fit." in new.temperature_note
    assert "error on 2 pictures of image-folder all in test (15 bins)" in new.temperature_note

    code, _, errors = here(*given(splits, tmp_path / "out"))
    assert code == 2
    assert "exists already" in errors


def test_the_draw_is_repeated(splits, tmp_path, here):
    results = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        more = ["--set", "sample_px=2000", "--set", f"seed={seed}", "--json"]
        results.append(json.loads(here(*given(splits, tmp_path / name), *more)[1]))
    assert results[0] == results[1]
    assert results[0]["temperature"] != results[2]["temperature"]
    assert results[0]["temperature"] == pytest.approx(results[2]["temperature"], rel=0.2)
    assert results[0]["fit"]["sampled_px"] == 2000


def test_splits_that_share_a_picture_are_refused(splits, tmp_path, here):
    fit, _ = splits
    mixed = write_pictures(tmp_path / "mixed", (15,))
    copied = (fit / "images" / "12.png").read_bytes()
    (mixed / "images" / "another-name.png").write_bytes(copied)
    (mixed / "masks" / "another-name.png").write_bytes((fit / "masks" / "12.png").read_bytes())
    code, _, errors = here(*given((fit, mixed), tmp_path / "out"))
    assert code == 3
    assert "share 1 of their slides, patients or pictures, first 12 = another-name" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "code", "words"),
    [
        ("fit.rot=x", 2, "unknown key fit.rot"),
        ("bins=1", 2, "bins is 1"),
        ("model.input_scale=0.5", 2, "leave it out"),
        ("test.root=absent", 3, "absent"),
    ],
)
def test_refusals_are_one_line(splits, tmp_path, here, setting, code, words):
    ended, said, errors = here(*given(splits, tmp_path / "out"), "--set", setting)
    assert ended == code, errors
    assert words in errors
    assert errors.count("\n") == 1
    assert said == ""
    assert not (tmp_path / "out").exists()
