"""Weights in torchvision's public layouts load into the backbones; everything else is refused."""

import pickle

import pytest
import safetensors.torch
import torch
from torchvision_layouts import PUBLISHED, layout, parameters

from wsiseg.errors import ModelRefusedError, UsageError
from wsiseg.models import build_model
from wsiseg.models.checkpoint import stored_tensors
from wsiseg.models.reference.backbone_weights import fit, load_backbone

LAYOUTS = {
    "fcn8s": "vgg16",
    "dilation8": "vgg16",
    "segnet": "vgg16_bn",
    "sqnet": "squeezenet1_1",
    "deeplab-v2": "resnet101",
    "refinenet": "resnet101",
    "lrr": "resnet101",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_layouts_have_the_published_counts(name):
    assert parameters(layout(name)) == PUBLISHED[name]


@pytest.mark.parametrize(("network", "name"), [*LAYOUTS.items(), ("pspnet", "resnet101")])
def test_every_name_and_shape_of_a_backbone_is_the_layouts(network, name):
    options = {"stem": "single"} if network == "pspnet" else {}
    with torch.device("meta"):
        backbone = build_model(network, num_classes=21, **options).backbone
        public = {key: torch.empty(shape) for key, shape in layout(name).items()}
    wanted = {key: tensor.shape for key, tensor in stored_tensors(backbone).items()}
    assert {key: tensor.shape for key, tensor in fit(public, stored_tensors(backbone)).items()} == wanted


def test_a_wide_layer_becomes_the_convolution_that_does_the_same():
    linear = torch.nn.Linear(2 * 7 * 7, 3)
    conv = torch.nn.Conv2d(2, 3, 7)
    fitted = fit({"classifier.0.weight": linear.weight.data}, {"classifier.0.weight": conv.weight})
    conv.weight.data, conv.bias.data = fitted["classifier.0.weight"], linear.bias.data
    x = torch.randn(1, 2, 7, 7)
    assert torch.allclose(conv(x).flatten(), linear(x.flatten()), atol=1e-5)


@pytest.fixture(scope="module")
def network():
    return build_model("sqnet", num_classes=5)


@pytest.fixture
def public():
    generator = torch.Generator().manual_seed(5)
    return {key: torch.randn(shape, generator=generator) for key, shape in layout("squeezenet1_1").items()}


def saved(tensors, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_weights_arrive(network, public, tmp_path, name):
    head = network.classifier.weight.detach().clone()
    load_backbone(network, saved(public, tmp_path / name))
    for key, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, public[key])
    assert torch.equal(network.classifier.weight, head)


def test_what_does_not_fit_is_refused(network, public, tmp_path):
    def refused(tensors, words):
        before = network.backbone.features[0].weight.detach().clone()
        with pytest.raises(ModelRefusedError, match=words):
            load_backbone(network, saved(tensors, tmp_path / "bad.pth"))
        assert torch.equal(network.backbone.features[0].weight, before)

    first = "features.0.weight"
    refused({key: value for key, value in public.items() if key != first}, f"misses tensors .*{first}")
    refused(public | {"features.13.weight": torch.zeros(3)}, "has unknown tensors .*features.13.weight")
    refused(public | {first: torch.zeros(64, 3, 5, 5)}, rf"{first} is .*expected .*\(64, 3, 3, 3\)")
    refused(public | {first: public[first].double()}, f"{first} is float64")
    refused(public | {first: torch.full((64, 3, 3, 3), torch.nan)}, "not finite")
    refused(list(public.values()), "no mapping of names to tensors")


class Hostile:
    def __reduce__(self):
        return (pytest.fail, ("code in the pickle was run",))


def test_no_code_in_a_file_is_run(network, tmp_path):
    for name, data in (
        ("evil.pth", pickle.dumps({"features.0.weight": Hostile()})),
        ("cut.pth", b"PK\x03\x04 no archive"),
        ("empty.pth", b""),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelRefusedError, match="nothing in it was run"):
            load_backbone(network, tmp_path / name)
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ModelRefusedError, match="cannot be read"):
        load_backbone(network, tmp_path / "cut.safetensors")
    with pytest.raises(ModelRefusedError, match="cannot be read"):
        load_backbone(network, tmp_path / "none.pth")


def test_networks_without_public_weights_say_so(tmp_path):
    with pytest.raises(UsageError, match="ESPNet has no backbone"):
        load_backbone(build_model("espnet", num_classes=5, alpha3=1), tmp_path / "x.pth")
    with torch.device("meta"):
        deep = build_model("pspnet", num_classes=5)
    with pytest.raises(UsageError, match="option stem: single"):
        load_backbone(deep, tmp_path / "x.pth")
