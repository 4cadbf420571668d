"""The WACV 2018 network: the published count, and a middle that sees what the release gives it."""

import torch

from wsiseg.models import build_model
from wsiseg.models.network import count_parameters


def test_the_published_count_holds_the_running_statistics():
    network = build_model("multi-resolution", num_classes=8)
    statistics = sum(
        tensor.numel() for name, tensor in network.named_buffers() if not name.endswith("num_batches_tracked")
    )
    assert count_parameters(network) == 26_005_014
    assert f"{(count_parameters(network) + statistics) / 1e6:.2f}" == "26.03"


def test_the_middle_sees_256_of_384_px():
    network = build_model("multi-resolution", num_classes=8).eval()
    seen = []
    network.middle.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image = torch.randn(1, 3, 384, 384)
    with torch.no_grad():
        whole = network(image)
        small = network(image[:, :, :64, :96])
    assert whole.shape == (1, 8, 384, 384)
    assert small.shape == (1, 8, 64, 96)
    assert torch.equal(seen[0], network.norm(image)[:, :, 64:320, 64:320])
    assert seen[1].shape == (1, 3, 64, 96)  # too small for a rim
