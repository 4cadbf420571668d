"""The compared networks: exact counts, the contract of all networks, and that nobody pays who names none."""

import io
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.models import MODELS, build_model
from wsiseg.models.build import REFERENCE
from wsiseg.models.network import count_parameters
from wsiseg.models.quiet import quiet_torchscript
from wsiseg.models.reference.layers import bilinear_deconvolution, enlarge
from wsiseg.models.reference.lrr import boundary, cosines
from wsiseg.models.reference.pspnet import pool_to

COUNTS = {
    # name: with 19, 20 and 21 classes
    "fcn8s": (134456985, 134473084, 134489759),
    "segnet": (29453971, 29454548, 29455125),
    "sqnet": (15973075, 15974228, 15975381),
    "deeplab-v2": (43901068, 43974800, 44048532),
    "pspnet": (65707475, 65707988, 65708501),
    "refinenet": (118047827, 118050132, 118052437),
    "lrr": (60789560, 61752160, 62714760),
    "dilation8": (139907572, 140513224, 141149720),
    "multi-resolution": (26058518, 26064462, 26070586),
}
STEPS = {"deeplab-v2": 8, "pspnet": 8, "dilation8": 8, "sqnet": 16}
TO_ONNX = ("segnet", "sqnet", "pspnet", "lrr")
"""Those whose operators the others do not have."""


def on_shapes(name, classes=21, **options):
    with torch.device("meta"):
        return build_model(name, num_classes=classes, **options)


def test_every_network_is_counted():
    assert set(COUNTS) == set(REFERENCE)
    assert not set(REFERENCE) & set(MODELS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    assert tuple(count_parameters(on_shapes(name, classes)) for classes in (19, 20, 21)) == COUNTS[name]


def test_how_the_papers_counts_come_about():
    weights = sum(p.numel() for p in on_shapes("dilation8").parameters() if p.dim() > 1)
    assert weights == 141_135_246
    backbone = on_shapes("refinenet").backbone
    statistics = sum(b.numel() for name, b in backbone.named_buffers() if "running" in name)
    assert count_parameters(backbone) + statistics == 42_605_504
    assert count_parameters(on_shapes("refinenet")) - count_parameters(backbone) == 75_552_277
    assert count_parameters(on_shapes("pspnet", stem="single")) == 65_584_725
    # LRR on VGG-16 as released: its convolutions, two wide layers, and four reconstructions.
    wide = count_parameters(on_shapes("fcn8s").backbone)
    per_channel = 25 * 210
    assert wide + per_channel * (4096 + 512 + 512 + 256) + 4 * (210 + 21 * 10 * 64) == 162_539_144


@pytest.mark.parametrize("name", COUNTS)
def test_logits_have_the_images_size(name):
    network = on_shapes(name, 6)
    step = STEPS.get(name, 32)
    assert (network.input_multiple, network.output_stride) == (step, 1)
    network.eval()
    with torch.no_grad():
        for height, width in ((step, step), (3 * step, 5 * step)):
            image = torch.empty(2, 3, height, width, device="meta")
            assert network(image).shape == (2, 6, height, width)
    with pytest.raises(InputRefusedError, match=f"pad it to {5 * step} x {4 * step}"):
        network(torch.empty(1, 3, 4 * step, 4 * step + 1, device="meta"))


@pytest.fixture(scope="module", params=list(COUNTS))
def network(request):
    torch.manual_seed(3)
    built = build_model(request.param, num_classes=6)
    built.name = request.param
    return built.train()


def test_a_step_of_training_and_a_prediction(network):
    images = torch.randn(2, 3, 32, 32)
    logits = network(images)
    assert logits.shape == (2, 6, 32, 32)
    loss = torch.nn.functional.cross_entropy(logits, torch.randint(6, (2, 32, 32)))
    assert bool(torch.isfinite(loss))
    if network.name != "dilation8":
        loss.backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert bool(torch.isfinite(parameter.grad).all()), key
    del logits, loss
    network.zero_grad(set_to_none=True)
    network.eval()
    with torch.no_grad():
        first = network(images)
        assert bool(torch.isfinite(first).all())
        assert float(first.std()) > 0
        assert torch.equal(first, network(images))
        assert torch.allclose(first[1:], network(images[1:]), rtol=1e-3, atol=1e-3 * float(first.std()))
    if network.name in TO_ONNX:
        _onnx_gives_equal_outputs(network, images[:1])


def test_gradients_reach_every_parameter_of_dilation8():
    """On shapes alone: for its widest layer, dilated, torch takes half a minute on a CPU."""
    network = on_shapes("dilation8", 6)
    network(torch.empty(1, 3, 32, 32, device="meta")).sum().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


def _onnx_gives_equal_outputs(network, image):
    buffer = io.BytesIO()
    with quiet_torchscript():
        torch.onnx.export(network, (image,), buffer, input_names=["x"], dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(image).numpy()
    found = session.run(None, {"x": image.numpy()})[0]
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_no_options_but_the_stem():
    with pytest.raises(UsageError, match="segnet has no options"):
        build_model("segnet", num_classes=5, width=8)
    with pytest.raises(UsageError, match="stem is 'wide': expected one of deep, single"):
        build_model("pspnet", num_classes=5, stem="wide")
    with pytest.raises(UsageError, match="expected one of deeplab-v2, dilation8, enet"):
        build_model("pspnet101", num_classes=5)


def test_only_what_is_named_is_imported():
    code = (
        "import sys\n"
        "from wsiseg.models import build_model\n"
        "build_model('espnet', num_classes=5, alpha3=1)\n"
        "assert not [name for name in sys.modules if name.startswith('wsiseg.models.reference')]\n"
        "build_model('sqnet', num_classes=5)\n"
        "print(sorted(name.rpartition('.')[2] for name in sys.modules if 'models.reference.' in name))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['layers', 'sqnet', 'squeezenet']"


@pytest.mark.parametrize("size", [(6, 12), (7, 11), (5, 4), (1, 3)])
def test_pyramid_pooling_is_the_adaptive_one(size):
    x = torch.randn(2, 3, *size)
    for bins in (1, 2, 3, 6):
        expected = torch.nn.functional.adaptive_avg_pool2d(x, bins)
        assert torch.allclose(pool_to(x, bins), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 8])
def test_deconvolutions_begin_as_bilinear_enlargement(factor):
    x = torch.randn(1, 3, 5, 6)
    with torch.no_grad():
        found = bilinear_deconvolution(3, factor)(x)
    inner = slice(factor, -factor)  # the full convolution takes zeros beyond the border
    expected = enlarge(x, factor)
    assert torch.allclose(found[..., inner, inner], expected[..., inner, inner], atol=1e-5)


def test_lrr_refines_near_boundaries_only():
    scores = torch.zeros(1, 2, 32, 32)
    scores[:, 0, :, :16], scores[:, 1, :, 16:] = 50, 50
    near = boundary(scores)
    assert torch.all(near[..., 12:20] == 1)
    assert torch.all(near[..., :12] == 0)
    assert torch.all(near[..., 20:] == 0)
    waves = cosines().flatten(1)
    assert torch.allclose(waves @ waves.T, torch.eye(10), atol=1e-5)
