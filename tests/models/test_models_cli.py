"""`wsiseg models`: every sub-command does what its help says, and refuses in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from wsiseg.cli.models import app
from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models import build_model, load_model, save_model
from wsiseg.models.export import exported_card

COMMANDS = ["list", "show", "verify", "params", "import", "export", "field"]


@pytest.fixture(scope="module")
def small(tmp_path_factory, saved_card):
    path = tmp_path_factory.mktemp("cli") / "small.safetensors"
    torch.manual_seed(0)
    save_model(path, build_model("espnet", num_classes=8, alpha3=1), saved_card())
    return path


def run(*arguments):
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    assert f"Example: wsiseg models {command}" in " ".join(run(command, "--help").split())


def test_no_sub_command_is_missing():
    listed = run("--help")
    assert all(f"  {command} " in listed for command in COMMANDS)


def test_show_and_verify(small):
    text = run("show", small)
    assert "small" in text
    assert "1.0 um/px" in text
    assert "malignant epithelium rgb(0, 0, 130)" in text
    assert json.loads(run("show", small, "--json"))["architecture"]["options"] == {"alpha3": 1}
    assert "whole" in run("verify", small)
    checked = json.loads(run("verify", small, "--json"))
    assert checked["sha256"] == load_model(small).card.weights_sha256
    assert checked["parameters"] == sum(p.numel() for p in load_model(small).network.parameters())


def test_verify_refuses_a_damaged_file(small, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    data = bytearray(small.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(ModelRefusedError, match="SHA-256"):
        run("verify", damaged)


def test_list_is_json_too():
    for item in json.loads(run("list", "--json")):
        assert run("show", item["name"])
        assert item["name"] in run("list")


def test_params_prints_every_row():
    text = run("params")
    rows = json.loads(run("params", "--json"))
    assert len(rows) == len(text.strip().splitlines()) - 1
    exact = {(row["table"], row["label"]): row["parameters"] for row in rows}
    assert exact["2g", "ESPNet, alpha3 = 8"] == 364569
    assert exact["2f", "ESPNet-C, input-aware fusion"] is None
    for row in rows:
        assert row["verdict"] in text
        assert row["parameters"] is None or f"{row['parameters']:,}" in text


def test_export(small, tmp_path):
    target = tmp_path / "small.onnx"
    text = run("export", small, "-o", target, "--opset", 15, "--size", "64x32", "--json")
    done = json.loads(text)
    assert (done["opset"], done["input_shape"]) == (15, [1, 32, 64, 3])
    assert done["size_bytes"] == target.stat().st_size
    assert exported_card(target).name == "small"
    with pytest.raises(UsageError, match="exists already"):
        run("export", small, "-o", target)
    with pytest.raises(UsageError, match="WIDTHxHEIGHT"):
        run("export", small, "-o", tmp_path / "x.onnx", "--size", "64")
    with pytest.raises(UsageError, match="is the input itself"):
        run("export", small, "-o", small, "--overwrite")
    assert "equal the network's own" in run(
        "export", small, "-o", tmp_path / "m.pt", "--format", "torchscript", "--size", "32x32"
    )


def test_field(small, tmp_path):
    picture = tmp_path / "crop.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)).save(picture)
    found = json.loads(run("field", small, "--image", picture, "--window", 64, "--repeats", 1, "--json"))
    assert found["theoretical_px"] == 2 * 528 + 1
    assert found["suggested_halo_px"] % 8 == 0
    assert list(found["extents_px"]) == ["0.5", "0.9", "0.95", "0.99"]
    text = run("field", small, "--window", 64, "--repeats", 1)
    assert "suggested halo" in text
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(UsageError, match="cannot be read as a picture"):
        run("field", small, "--image", broken)


@pytest.mark.shared
def test_import(shared_data, tmp_path):
    source = shared_data / "espnet_release" / "decoder_espnet_p_2_q_3.pth"
    target = tmp_path / "city.safetensors"
    assert "espnet, 20 classes, alpha2 2, alpha3 3, decoder v1" in run("import", source, "-o", target)
    shown = run("show", target)
    assert "void rgb(0, 0, 0), background, never predicted" in shown
    assert "input scale 0.5" in shown
    with pytest.raises(UsageError, match="exists already"):
        run("import", source, "-o", target)
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        run("import", source, "-o", tmp_path / "city.pth")


def test_the_documentation_shows_what_is_printed():
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert run("params").strip() in text
