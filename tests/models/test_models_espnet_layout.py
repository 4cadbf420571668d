"""An ESPNet's tensors are known, checked and used without torch, and are those of the torch module."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch

from wsiseg import load_model
from wsiseg.models.build import build_model
from wsiseg.models.checkpoint import stored_tensors
from wsiseg.models.options import espnet_layout

OPTIONS = [
    dict(zip(("decoder", "k", "activation", "reduce_kernel", "alpha2"), values, strict=True))
    for values in product(("v1", "v2"), (2, 4, 5, 7), ("prelu", "relu"), (1, 3), (1, 3))
]


@pytest.mark.parametrize("classes", [5, 8, 20])
def test_names_and_shapes_are_those_of_the_module(classes):
    for options in OPTIONS:
        network = build_model("espnet", num_classes=classes, alpha3=2, **options)
        expected = {name: tuple(tensor.shape) for name, tensor in stored_tensors(network).items()}
        layout = espnet_layout(classes, alpha3=2, **options)
        assert layout.shapes() == expected, options
        assert network.layout == layout


@pytest.mark.parametrize("option", [{"module": "resnext"}, {"downsampling": "strided-conv"}])
def test_a_layout_knows_what_it_does_not_know(option):
    assert not espnet_layout(8, **option).is_all_esp


def test_tensors_follow_the_network_once_it_is_built():
    model = load_model("tissue8-demo")
    before, digest = model.tensors(), model.digest()
    with torch.no_grad():
        model.network.up1.weight += 1
    after = model.tensors()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before if name != "up1.weight")
    assert np.array_equal(before["up1.weight"] + 1, after["up1.weight"])
    assert model.digest() != digest


def test_a_network_that_is_first_asked_for_in_inference_mode_can_be_trained():
    with torch.inference_mode():
        network = load_model("tissue8-demo").network
    assert not any(parameter.is_inference() for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_prediction_by_openvino_never_imports_torch(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from wsiseg import PredictOptions, segment_slide\n"
        "pixels = np.full((300, 300, 3), (200, 120, 180), np.uint8)\n"
        "options = PredictOptions(slide_mpp=(1.0, 1.0), runtime='openvino', device='cpu', tissue='none')\n"
        f"result = segment_slide(pixels, {str(tmp_path)!r}, options, name='plain')\n"
        "assert result.summary['areas']['predicted'] > 0\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
