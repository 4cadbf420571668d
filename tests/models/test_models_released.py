"""The authors' checkpoints, recognised and reproduced; other files refused without running anything."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from wsiseg.class_map import TISSUE8
from wsiseg.errors import InputRefusedError, ModelRefusedError
from wsiseg.models import Architecture, build_model, load_model, save_model
from wsiseg.models.network import count_parameters
from wsiseg.models.normalise import Normalise, Segmenter
from wsiseg.models.public_classes import CITYSCAPES_VOID, unnamed
from wsiseg.models.released import _card, import_released, rename

FILES = {
    "encoder_espnet_p_2_q_3": ("espnet-c", 20, {"alpha2": 2, "alpha3": 3}, 187529),
    "encoder_espnet_p_2_q_5": ("espnet-c", 20, {"alpha2": 2, "alpha3": 5}, 252297),
    "encoder_espnet_p_2_q_8": ("espnet-c", 20, {"alpha2": 2, "alpha3": 8}, 349449),
    "decoder_espnet_p_2_q_3": ("espnet", 20, {"alpha2": 2, "alpha3": 3, "decoder": "v1"}, 202649),
    "decoder_espnet_p_2_q_5": ("espnet", 20, {"alpha2": 2, "alpha3": 5, "decoder": "v1"}, 267417),
    "decoder_espnet_p_2_q_8": ("espnet", 20, {"alpha2": 2, "alpha3": 8, "decoder": "v1"}, 364569),
    "decoder_espnet_p_2_q_8_camvid": ("espnet", 12, {"alpha2": 2, "alpha3": 8, "decoder": "v2"}, None),
}

# Ours -> the release's, by hand and the other way round than the module under test.
BACK = {
    "level1.conv.weight": "level1.conv.weight",
    "level1.norm.bn.bias": "level1.bn.bias",
    "norm2.act.weight": "b2.act.weight",
    "down3.branches.4.weight": "level3_0.d16.conv.weight",
    "level2.1.norm.bn.running_var": "level2.1.bn.bn.running_var",
    "level3.0.reduce.weight": "level3.0.c1.conv.weight",
}


@pytest.mark.shared
@pytest.mark.parametrize("stem", FILES)
def test_every_released_file_is_recognised(shared_data, tmp_path, stem):
    path = shared_data / "espnet_release" / f"{stem}.pth"
    model = import_released(path, name=stem)
    name, classes, options, parameters = FILES[stem]
    card = model.card
    assert (card.architecture.name, card.architecture.num_classes) == (name, classes)
    assert card.architecture.options == options
    assert parameters in (None, count_parameters(model.network))
    assert card.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (card.domain, card.mpp, card.licence, card.channel_order) == ("photo", None, "MIT", "bgr")
    assert card.divide_by == 255
    saved = tmp_path / f"{stem}.safetensors"
    save_model(saved, model.network, card)
    again = load_model(saved)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again.network(image), model.network(image))


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_the_released_logits_are_reproduced(shared_data, kind):
    folder = shared_data / "espnet_release"
    model = import_released(folder / f"{kind}_espnet_p_2_q_5.pth", name="x")
    reference = np.load(folder / "reference_logits.npz")
    with torch.no_grad():
        logits = model.network(torch.from_numpy(reference["input"])).numpy()
    assert logits.shape == reference[f"{kind}_q5"].shape
    assert np.abs(logits - reference[f"{kind}_q5"]).max() < 1e-3
    assert np.array_equal(logits.argmax(1), reference[f"{kind}_q5"].argmax(1))


@pytest.mark.shared
def test_the_camvid_card_says_that_the_order_is_not_known(shared_data):
    path = shared_data / "espnet_release" / "decoder_espnet_p_2_q_8_camvid.pth"
    card = import_released(path, name="camvid").card
    assert "does not document the order" in card.summary
    assert [item.name for item in card.classes] == [f"channel {index}" for index in range(12)]
    named = import_released(path, name="camvid", classes=unnamed(12)).card
    assert "does not document" not in named.summary
    with pytest.raises(InputRefusedError, match="12 output channels, but 8 classes"):
        import_released(path, name="camvid", classes=TISSUE8)


@pytest.mark.shared
def test_void_is_never_predicted(shared_data):
    model = import_released(shared_data / "espnet_release" / "encoder_espnet_p_2_q_3.pth", name="x")
    segmenter = Segmenter(model)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8))
    with torch.no_grad():
        model.network.classifier.weight[19] = 100 * model.network.classifier.weight[3]
        labels = segmenter(image)
        assert segmenter.logits(image).shape == (1, 19, 64, 64)
    assert labels.dtype == torch.uint8
    assert int(labels.max()) <= 18


def test_keys_are_translated():
    tensors = {theirs: torch.zeros(1) for theirs in BACK.values()}
    assert set(rename(tensors, "x")) == set(BACK)
    nested = {f"encoder.{theirs}": torch.zeros(1) for theirs in BACK.values()}
    assert set(rename(nested, "x")) == {f"encoder.{ours}" for ours in BACK}


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def write(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_code_in_a_pickle_is_not_run(tmp_path):
    trace = tmp_path / "ran"
    path = write(tmp_path / "evil.pth", {"a": Evil(trace)})
    with pytest.raises(InputRefusedError, match="no checkpoint of plain tensors") as caught:
        import_released(path, name="x")
    assert not trace.exists()
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "text.pth"
    text.write_text("not a checkpoint")
    for content, message in (
        ([1, 2], "holds a list"),
        ({}, "holds a dict"),
        ({"a": 1}, "'a' is no float32 tensor"),
        ({"backbone.conv1.weight": torch.zeros(2)}, "keys that did not fit: backbone.conv1.weight"),
        ({"level1.conv.weight": torch.zeros(2)}, "has no classifier"),
        ({"level2_0.d3.conv.weight": torch.zeros(2)}, "level2_0.d3.conv.weight"),
        ({"classifier.conv.weight": torch.zeros(20, 256, 1, 1)}, "level 2 are not numbered"),
    ):
        with pytest.raises(InputRefusedError, match=message):
            import_released(write(tmp_path / "x.pth", content), name="x")
    with pytest.raises(InputRefusedError, match="no checkpoint"):
        import_released(text, name="x")
    with pytest.raises(InputRefusedError, match="cannot be read"):
        import_released(tmp_path / "absent.pth", name="x")


def test_a_checkpoint_that_lacks_a_tensor_is_refused(tmp_path):
    ours = build_model("espnet-c", num_classes=20, alpha3=1).state_dict()
    tensors = {BACK[name]: ours[name] for name in BACK}
    tensors["classifier.conv.weight"] = ours["classifier.weight"]
    tensors["level2.0.c1.conv.weight"] = ours["level2.0.reduce.weight"]
    with pytest.raises(InputRefusedError, match="misses tensors"):
        import_released(write(tmp_path / "x.pth", tensors), name="x")


def test_cityscapes_classes_are_the_published_ones():
    assert len(CITYSCAPES_VOID) == 20
    assert CITYSCAPES_VOID.by_id(11).name == "person"
    assert [item.predicted for item in CITYSCAPES_VOID.classes] == [True] * 19 + [False]
    assert len({item.colour for item in unnamed(254).classes}) == 254


def test_normalisation_divides_last_and_swaps_first(saved_card):
    card = saved_card(channel_order="bgr", mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0), divide_by=255.0)
    pixel = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)  # RGB
    found = Normalise(card)(pixel)
    assert found.shape == (1, 3, 1, 1)
    assert found.flatten().tolist() == pytest.approx([29 / 2 / 255, 18 / 4 / 255, 7 / 8 / 255])


@pytest.mark.shared
def test_damaged_checkpoints_are_refused_in_one_line(shared_data, tmp_path):
    data = (shared_data / "espnet_release" / "encoder_espnet_p_2_q_3.pth").read_bytes()
    random = np.random.default_rng(0)
    messages = []
    for _ in range(40):
        changed = bytearray(data)
        place = int(random.integers(0, 12_000))
        changed[place] ^= int(random.integers(1, 256))
        path = tmp_path / "damaged.pth"
        path.write_bytes(changed[: int(random.integers(len(data) // 2, len(data) + 1))])
        try:
            import_released(path, name="x")
        except (InputRefusedError, ModelRefusedError) as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("given", "safe"), [(" my model!", "my-model-"), ("...", "imported"), ("a_b", "a_b")]
)
def test_names_become_safe(given, safe):
    architecture = Architecture(name="espnet-c", num_classes=20)
    assert _card(given, architecture, None, "0" * 64, "f").name == safe
