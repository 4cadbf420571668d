"""A file is loaded whole and unaltered, or refused in one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from wsiseg.class_map import TISSUE8
from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models import Architecture, ModelCard, build_model, load_model, read_card, save_model
from wsiseg.models.files import CARD_KEY


def card(**changes: object) -> ModelCard:
    fields: dict[str, object] = {
        "name": "small",
        "summary": "a network for tests",
        "architecture": Architecture(name="espnet", num_classes=8, options={"alpha3": 1}),
        "classes": TISSUE8.classes,
        "domain": "slide",
        "mpp": 1.0,
        "mean": (120.0, 121.0, 122.0),
        "std": (50.0, 51.0, 52.0),
        "licence": "Apache-2.0",
        "source": "tests",
        "training_data": "none",
    }
    return ModelCard.model_validate({**fields, **changes})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_model(path, build_model("espnet", num_classes=8, alpha3=1), card())
    return path


def rewrite(path: Path, edit_header=None, edit_body=None) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    if edit_header:
        edit_header(header)
    if edit_body:
        edit_body(body)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(body))


def test_a_saved_model_gives_the_same_logits(tmp_path):
    torch.manual_seed(1)
    network = build_model("espnet", num_classes=8, alpha3=1)
    network(torch.randn(2, 3, 32, 32))  # moves the running statistics
    path = tmp_path / "m.safetensors"
    written = save_model(path, network, card())
    model = load_model(path)
    image = torch.randn(1, 3, 64, 32)
    assert torch.equal(model.network(image), network.eval()(image))
    assert model.card == written == read_card(path)
    assert not model.network.training
    assert len(written.weights_sha256) == 64
    assert [item.name for item in tmp_path.iterdir()] == ["m.safetensors"]


def test_loading_leaves_the_random_state_alone(saved):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(saved)
    assert torch.equal(torch.rand(3), expected)


def flip_bit(body):
    body[len(body) // 2] ^= 1


def lie(**changes):
    def edit(header):
        content = json.loads(header["__metadata__"][CARD_KEY])
        content.update(changes)
        header["__metadata__"][CARD_KEY] = json.dumps(content)

    return edit


@pytest.mark.parametrize(
    ("edit_header", "edit_body", "message"),
    [
        (None, flip_bit, "SHA-256"),
        (None, lambda body: body.pop(), "bytes, but its header describes"),
        (lambda header: header.pop("__metadata__"), None, "without a wsiseg card"),
        (lambda header: header["up1.weight"].update(shape=[4, 16, 2, 2]), None, "SHA-256"),
        (lambda header: header["up1.weight"].update(shape=[-8, -8, 2, 2]), None, "header is damaged"),
        (lambda header: header["up1.weight"].update(dtype="X"), None, "header is damaged"),
        (lambda header: header["up1.weight"].update(data_offsets=[0, 1024]), None, "overlap or leave gaps"),
        (
            lie(architecture={"name": "espnet", "num_classes": 8, "options": {"alpha3": 2}}),
            None,
            "misses tensors",
        ),
        (lie(architecture={"name": "nonesuch", "num_classes": 8, "options": {}}), None, "unknown network"),
        (
            lie(architecture={"name": "espnet", "num_classes": 8, "options": {"alpha3": 10**9}}),
            None,
            "alpha3",
        ),
        (lie(architecture={"name": "espnet", "num_classes": 7, "options": {}}), None, "one per channel"),
        (lie(mpp=None), None, "mpp is missing"),
        (lie(std=[0, 1, 1]), None, "std"),
        (lie(weights_sha256=None), None, "no weights_sha256"),
        (lie(surprise=1), None, "surprise"),
    ],
)
def test_a_damaged_or_lying_file_is_refused(saved, edit_header, edit_body, message):
    rewrite(saved, edit_header, edit_body)
    with pytest.raises(ModelRefusedError, match=message) as caught:
        load_model(saved)
    assert "\n" not in str(caught.value)
    assert "small.safetensors" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 2000, -1])
def test_a_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(ModelRefusedError):
        load_model(saved)
    with pytest.raises(ModelRefusedError):
        read_card(saved)


def test_values_that_are_not_finite_are_refused(tmp_path):
    network = build_model("espnet", num_classes=8, alpha3=1)
    with torch.no_grad():
        network.up1.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelRefusedError, match="not finite"):
        save_model(tmp_path / "m.safetensors", network, card())
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_not_the_cards_is_not_saved(tmp_path):
    with pytest.raises(ModelRefusedError, match="unknown tensors"):
        save_model(tmp_path / "m.safetensors", build_model("espnet", num_classes=8, alpha3=2), card())
    with pytest.raises(UsageError, match="folder does not exist"):
        save_model(tmp_path / "no" / "m.safetensors", build_model("espnet", num_classes=8, alpha3=1), card())


def test_a_pickle_is_refused_unread(tmp_path):
    path = tmp_path / "x.safetensors"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelRefusedError, match="is no safetensors file"):
        load_model(path)


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(ModelRefusedError, match="does not exist"):
        load_model("nonesuch")
    with pytest.raises(ModelRefusedError, match="is a folder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mpp": 50.0}, "mpp"),
        ({"domain": "photo"}, "mpp must be left out"),
        ({"input_scale": 0.5}, "input_scale must be left out"),
        ({"mean": (float("nan"), 0, 0)}, "mean"),
        ({"scores": {"a": {"b": "good"}}}, "expected a number"),
        ({"scores": {"a": float("inf")}}, "finite"),
        ({"tile_px": 100}, "tile_px"),
        ({"temperature": 0}, "temperature"),
        ({"divide_by": -1}, "divide_by"),
        ({"source_sha256": "abc"}, "source_sha256"),
        (
            {"classes": [item.model_copy(update={"predicted": False}) for item in TISSUE8.classes]},
            "no class is predicted",
        ),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        card(**changes)


def test_reading_a_card_imports_no_torch(saved):
    code = (
        "import sys, wsiseg.models, wsiseg.models.card, wsiseg.models.files as f;"
        f"print(wsiseg.models.read_card({str(saved)!r}).name, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["small", "False"]


def test_a_card_cannot_steer_the_terminal_or_the_builder(saved):
    rewrite(saved, lie(**{"a\x1b[2J\nb": 1}))
    with pytest.raises(ModelRefusedError, match=r"wrong at a\?\[2J\?b"):
        load_model(saved)
    rewrite(saved, lambda header: header.__setitem__("x\x1b\n", header.pop("up1.weight")))
    content = card().model_dump(mode="json")
    content["architecture"]["options"]["num_classes"] = 9
    rewrite(saved, lambda header: header.__setitem__("__metadata__", {CARD_KEY: json.dumps(content)}))
    with pytest.raises(ModelRefusedError, match="stands beside the options"):
        load_model(saved)


@pytest.mark.parametrize("seed", range(40))
def test_no_change_of_a_byte_gets_through(saved, seed):
    data = bytearray(saved.read_bytes())
    random = np.random.default_rng(seed)
    # Half of the changes in the header, where they could do most.
    length = int.from_bytes(data[:8], "little") + 8
    place = int(random.integers(0, length if seed % 2 else len(data)))
    data[place] ^= int(random.integers(1, 256))
    before = load_model(saved)
    saved.write_bytes(data)
    message = ""
    try:
        after = load_model(saved)
    except ModelRefusedError as error:
        message = str(error)
    assert "\n" not in message
    if not message:  # only the card's own words can have changed: never a weight
        assert place < length
        for name, tensor in before.network.state_dict().items():
            assert torch.equal(tensor, after.network.state_dict()[name])
