"""Networks whose graph depends on the size: through OpenVINO they say what torch says, at any size."""

import numpy as np
import pytest
import torch

from wsiseg.class_map import TISSUE8
from wsiseg.inference import openvino_runtime
from wsiseg.inference.runtime import build_runtime, choose_runtime
from wsiseg.models import Architecture, Model, ModelCard, build_model

SHAPE = (352, 288)
"""Larger than what other networks are traced at, and the sides differ."""


@pytest.fixture(scope="module", params=["ynet", "ynet-joint"])
def model(request):
    torch.manual_seed(2)
    network = build_model(request.param, num_classes=8)
    network(torch.randn(2, 3, 64, 64))
    card = ModelCard(
        name="sizes",
        summary="Random weights, for tests.",
        architecture=Architecture(name=request.param, num_classes=8),
        classes=TISSUE8.classes,
        domain="slide",
        mpp=1.0,
        mean=(128, 128, 128),
        std=(64, 64, 64),
        licence="Apache-2.0",
        source="tests",
        training_data="none",
    )
    return Model(network.eval(), card)


def test_openvino_says_what_torch_says(model):
    assert max(SHAPE) > openvino_runtime.TRACE_PX
    rgb = np.random.default_rng(1).integers(0, 256, (1, 44, 36, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    expected, found = (
        build_runtime(choose_runtime(name, "fp32", "cpu"), model, SHAPE).predict(rgb).labels
        for name in ("torch", "openvino")
    )
    assert len(np.unique(expected)) > 1
    assert np.mean(expected == found) > 0.999
