"""What every network promises, asked of all of them."""

import copy
import io

import numpy as np
import onnxruntime
import pytest
import torch

from wsiseg.errors import InputRefusedError
from wsiseg.models import MODELS, build_model
from wsiseg.models.checkpoint import load_tensors, stored_tensors
from wsiseg.models.enet import pool, unpool
from wsiseg.models.quiet import quiet_torchscript
from wsiseg.models.ynet import YNetJoint

SMALL = {
    "espnet": {"alpha3": 1},
    "espnet-c": {"alpha3": 1},
    "espnet-b": {"alpha3": 1},
    "espnet-a": {"alpha3": 1},
    "enet": {},
    "erfnet": {},
    "unet": {"width": 8},
    "ynet": {},
    "ynet-joint": {"diagnoses": 4, "idle_branches": False},
}
CASES = [
    *((name, options) for name, options in SMALL.items()),
    ("espnet", {"alpha3": 1, "decoder": "v2"}),
    ("espnet", {"alpha3": 1, "activation": "relu", "hff": False, "residual": False}),
    ("espnet-c", {"alpha3": 1, "downsampling": "strided-conv", "reduce_kernel": 3, "dilated": False}),
    ("espnet-c", {"alpha3": 1, "k": 8}),
    *(
        ("espnet-c", {"alpha3": 1, "module": module})
        for module in ("mobilenet", "shufflenet", "inception", "resnext", "resnet", "atrous-pyramid")
    ),
]


def test_every_network_is_asked():
    assert set(SMALL) == set(MODELS)


@pytest.fixture(
    scope="module", params=CASES, ids=lambda case: "-".join([case[0], *map(str, case[1].values())])
)
def network(request):
    torch.manual_seed(3)
    built = build_model(request.param[0], num_classes=6, **request.param[1])
    built(torch.randn(2, 3, 64, 64))  # in training mode: gives the normalisations real statistics
    return built.eval()


def test_shapes(network):
    with torch.no_grad():
        logits = network(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 6, 64 // network.output_stride, 96 // network.output_stride)
    assert logits.dtype == torch.float32
    assert bool(torch.isfinite(logits).all())
    assert float(logits.std()) > 0


def test_other_sizes_are_refused_with_the_size_to_pad_to(network):
    step = network.input_multiple
    with pytest.raises(InputRefusedError, match=f"pad it to {5 * step} x {4 * step}"):
        network(torch.zeros(1, 3, 4 * step, 4 * step + 1))
    with pytest.raises(InputRefusedError, match=f"pad it to {step} x {step}"):
        network(torch.zeros(1, 3, 1, 1))
    for shape in ((1, 4, 64, 64), (3, 64, 64)):
        with pytest.raises(InputRefusedError, match="channels first"):
            network(torch.zeros(shape))


def test_evaluation_is_deterministic_and_blind_to_the_batch(network):
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        first = network(images)
        assert torch.equal(first, network(images))
        assert torch.allclose(first[1:2], network(images[1:2]), atol=1e-4)


def test_channels_last(network):
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = network(image)
        other = copy.deepcopy(network).to(memory_format=torch.channels_last)
        assert torch.allclose(plain, other(image.to(memory_format=torch.channels_last)), atol=1e-3)


def test_bfloat16(network):
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        full = network(image)
        half = copy.deepcopy(network).bfloat16()(image.bfloat16())
    assert half.dtype == torch.bfloat16
    error = (half.float() - full).square().mean().sqrt() / full.std()
    assert float(error) < 0.15  # untrained weights; ENet jumps where a maximum changes its place


def test_gradients_reach_every_parameter(network):
    network = copy.deepcopy(network).train()
    image = torch.randn(2, 3, 64, 64)
    outputs = network.both(image) if isinstance(network, YNetJoint) else (network(image),)
    sum(output.square().mean() for output in outputs).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_the_state_goes_round(network):
    tensors = {name: tensor.clone() for name, tensor in stored_tensors(network).items()}
    other = copy.deepcopy(network)
    for tensor in stored_tensors(other).values():
        tensor.fill_(0.5)
    load_tensors(other, tensors, "round trip")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), other(image))


def test_onnx_gives_equal_outputs(network):
    image = torch.randn(1, 3, 64, 64)
    buffer = io.BytesIO()
    with quiet_torchscript():
        torch.onnx.export(network, (image,), buffer, input_names=["x"], dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(image).numpy()
    found = session.run(None, {"x": image.numpy()})[0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3 * max(1.0, np.abs(expected).max())


def test_enet_pools_and_unpools_as_torch_does():
    x = torch.randn(2, 5, 12, 16)
    values, place = pool(x)
    expected, index = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, expected)
    y = torch.randn_like(values)
    assert torch.equal(unpool(y, place), torch.nn.functional.max_unpool2d(y, index, 2))
