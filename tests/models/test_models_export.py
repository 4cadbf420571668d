"""Exported networks give the network's own labels in other runtimes, and carry their card."""

import io

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.inference.openvino_runtime import core
from wsiseg.models import Architecture, Model, build_model
from wsiseg.models import export as export_module
from wsiseg.models.export import export_model, exported_card
from wsiseg.models.normalise import Normalise, Segmenter
from wsiseg.models.quiet import quiet_torchscript

# Ids with gaps, a channel in the middle that is never given to a pixel, and BGR: all of it must survive.
CLASSES = ClassMap(
    classes=tuple(
        LabelClass(id=label, name=f"c{label}", colour=(label, 0, 0), predicted=label != 9)
        for label in (0, 3, 9, 5, 250, 7)
    )
)


@pytest.fixture(scope="module")
def pixels():
    # Smooth, so that labels come in areas as they do on pictures.
    small = np.random.default_rng(4).integers(0, 256, (1, 3, 8, 12)).astype(np.float32)
    large = torch.nn.functional.interpolate(torch.from_numpy(small), (64, 96), mode="bicubic")
    return large.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def make(name, saved_card, pixels):
    options = {"unet": {"width": 8}, "espnet": {"alpha3": 1}, "espnet-c": {"alpha3": 1}}.get(name, {})
    torch.manual_seed(0)
    network = build_model(name, num_classes=6, **options)
    card = saved_card(
        architecture=Architecture(name=name, num_classes=6, options=options),
        classes=CLASSES.classes,
        channel_order="bgr",
        divide_by=2.0,
    )
    # Running statistics of the very pixels, so that an untrained network gives more than one label.
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        logits = network(Normalise(card)(torch.from_numpy(pixels)))
        if name == "unet":
            network.classifier.bias -= logits.mean(dim=(0, 2, 3))
    return Model(network.eval(), card)


@pytest.fixture(scope="module", params=["espnet", "espnet-c", "enet", "erfnet", "unet"])
def model(request, saved_card, pixels):
    return make(request.param, saved_card, pixels)


@pytest.fixture(scope="module")
def espnet(saved_card, pixels):
    return make("espnet", saved_card, pixels)


def own_labels(model, pixels):
    with torch.no_grad():
        labels = Segmenter(model)(torch.from_numpy(pixels)).numpy()
    assert set(np.unique(labels)) <= {0, 3, 5, 250, 7}
    assert len(np.unique(labels)) > 1
    return labels


def test_onnx(model, pixels, tmp_path):
    opset = 13 if model.card.architecture.name in ("espnet", "enet") else 17
    path = tmp_path / "m.onnx"
    done = export_model(model, path, format="onnx", opset=opset, width_px=96, height_px=64)
    assert (done.opset, done.shape, done.size_bytes) == (opset, (1, 64, 96, 3), path.stat().st_size)
    written = onnx.load(str(path))
    assert [(item.domain, item.version) for item in written.opset_import if item.domain == ""] == [
        ("", opset)
    ]
    assert exported_card(path) == model.card
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["labels"], {"image": pixels})[0]
    compiled = core().compile_model(core().read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for labels in (found, compiled(pixels)[0]):
        assert labels.dtype == np.uint8
        assert (labels == own_labels(model, pixels)).mean() > 0.999


def test_torchscript(model, pixels, tmp_path):
    path = tmp_path / "m.pt"
    export_model(model, path, format="torchscript", width_px=96, height_px=64)
    assert exported_card(path) == model.card
    with quiet_torchscript(), torch.no_grad():
        loaded = torch.jit.load(str(path))
        assert np.array_equal(loaded(torch.from_numpy(pixels)).numpy(), own_labels(model, pixels))


def test_openvino_converts_the_module_itself(espnet, pixels):
    with quiet_torchscript():
        converted = openvino.convert_model(
            Segmenter(espnet), example_input=torch.from_numpy(pixels), input=[tuple(pixels.shape)]
        )
    compiled = core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(pixels)[0]
    assert found.dtype == np.uint8
    assert (found == own_labels(espnet, pixels)).mean() > 0.999


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "tflite"}, "unknown export format 'tflite'"),
        ({"format": "torchscript", "opset": 13}, "leave it out"),
        ({"opset": 99}, "expected 13 to 18"),
        ({"width_px": 100}, "positive multiples"),
        ({"batch": 0}, "positive multiples"),
    ],
)
def test_what_cannot_be_exported_is_refused(espnet, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        export_model(espnet, tmp_path / "m.onnx", **{"format": "onnx", **changes})
    with pytest.raises(UsageError, match="folder does not exist"):
        export_model(espnet, tmp_path / "no" / "m.onnx", format="onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_opset_other_than_asked_for_is_not_written(espnet, tmp_path, monkeypatch):
    real = torch.onnx.export

    def stubborn(*args, opset_version, **kwargs):
        real(*args, opset_version=14, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", stubborn)
    with pytest.raises(ModelRefusedError, match="wrote opset 14, but 13 was asked for"):
        export_model(espnet, tmp_path / "m.onnx", format="onnx", opset=13, width_px=64, height_px=64)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_differ_are_not_written(espnet, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "run_onnx", lambda data, pixels: np.zeros(pixels.shape[:3], np.uint8))
    with pytest.raises(ModelRefusedError, match="labels equal the network's own; nothing was written"):
        export_model(espnet, tmp_path / "m.onnx", format="onnx", width_px=64, height_px=64)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_card_is_refused(tmp_path):
    path = tmp_path / "bare.onnx"
    buffer = io.BytesIO()
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])), buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelRefusedError, match="no wsiseg card"):
        exported_card(path)
