"""Y-Net: the published counts, any size, and two arms that are one network."""

import pytest
import torch
from torch.nn import functional as F

from wsiseg.errors import InputRefusedError
from wsiseg.models import build_model
from wsiseg.models.network import count_parameters
from wsiseg.models.ynet import _bins, _mean_over


@pytest.fixture(scope="module")
def joint():
    torch.manual_seed(1)
    network = build_model("ynet-joint", num_classes=8, diagnoses=4, idle_branches=False)
    network.both(torch.randn(2, 3, 64, 64))
    return network.eval()


def test_counts_are_the_published_ones():
    assert count_parameters(build_model("ynet", num_classes=8)) == 2_755_488
    assert count_parameters(build_model("ynet-joint", num_classes=8)) == 3_913_381


def test_what_the_joint_count_holds_beyond_what_computes():
    """A branch too many in 11 modules, of 128, 256 or 64 channels, inside a quarter as wide."""
    counted = build_model("ynet-joint", num_classes=8)
    computed = build_model("ynet-joint", num_classes=8, idle_branches=False)
    idle = 9 * (4 * 32**2 + 5 * 64**2 + 2 * 16**2)
    assert count_parameters(counted) - count_parameters(computed) == idle == 225_792
    image = torch.randn(2, 3, 32, 32)
    sum(output.sum() for output in counted.both(image)).backward()
    assert {name.partition(".")[0] for name, p in counted.named_parameters() if p.grad is None} == {"idle"}


@pytest.mark.parametrize("size", [(8, 8), (40, 24), (384, 384), (64, 200)])
def test_any_size(joint, size):
    with torch.no_grad():
        logits, told = joint.both(torch.randn(1, 3, *size))
    assert logits.shape == (1, 8, *size)
    assert told.shape == (1, 4)


def test_pools_as_published_at_384_px(joint, monkeypatch):
    """48 px at level 3 are pooled to 40, 32, 24 and 18; 96 and 192 px to the same parts."""
    seen = []

    def looked_at(x, rows, columns):
        seen.append((x.shape[-1], columns))
        return F.adaptive_avg_pool2d(x, (rows, columns))

    monkeypatch.setattr("wsiseg.models.ynet._mean_over", looked_at)
    with torch.no_grad():
        joint(torch.zeros(1, 3, 384, 384))
    assert seen == [(48 * n, part * n) for n in (1, 2, 4) for part in (40, 32, 24, 18)]


@pytest.mark.parametrize(("size", "count"), [(48, 40), (7, 5), (9, 9), (3, 1)])
def test_export_pools_as_torch_does(size, count):
    x = torch.randn(2, 3, size, size + 2, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(x, (count, count))
    found = _bins(size, count).double() @ x @ _bins(size + 2, count).double().T
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(_mean_over(x, count, count), expected)


def test_the_arms_agree_with_themselves(joint):
    image = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        logits, told = joint.both(image)
        assert torch.equal(joint(image), logits)
        assert torch.equal(joint.segmentation(image), logits)
        assert torch.equal(joint.diagnose(image), told)
    for method in (joint.both, joint.diagnose):
        with pytest.raises(InputRefusedError, match="pad it to 48 x 48"):
            method(torch.zeros(1, 3, 47, 48))
