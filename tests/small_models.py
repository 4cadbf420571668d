"""Test networks with whole-number weights.

Their sums are exact in any order, so tilings can be compared to the bit.
"""

import torch
from torch import nn
from torch.nn import functional as F

from wsiseg.class_map import TISSUE8
from wsiseg.models import Architecture, Model, ModelCard

FIELD_PX = 8 * (1 + 3) + 1
"""No output pixel depends on an input pixel further away than this."""


class IntegerNetwork(nn.Module):
    """Three strided steps down to 1/8, one dilated convolution there, and back: every tiling must agree."""

    output_stride = 1
    input_multiple = 8

    def __init__(self, seed=0):
        super().__init__()
        random = torch.Generator().manual_seed(seed)

        def kernel(*shape):
            return nn.Parameter(torch.randint(-2, 3, shape, generator=random).float(), requires_grad=False)

        self.down = kernel(4, 3, 8, 8)
        self.wide = kernel(8, 4, 3, 3)
        self.fine = kernel(8, 3, 3, 3)

    def forward(self, image):
        small = F.conv2d(image, self.down, stride=8)
        small = torch.floor(small / 64)
        deep = F.conv2d(small, self.wide, padding=3, dilation=3)
        back = deep.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
        return back + F.conv2d(image, self.fine, padding=1)


def integer_model(seed=0, **changes):
    card = {
        "name": f"integer-{seed}",
        "summary": "Whole-number weights, for tests.",
        "architecture": Architecture(name="espnet", num_classes=8),
        "classes": TISSUE8.classes,
        "domain": "slide",
        "mpp": 1.0,
        "mean": (128, 128, 128),
        "std": (1, 1, 1),
        "licence": "Apache-2.0",
        "source": "tests",
        "training_data": "none",
        "weights_sha256": f"{seed:064x}",
    }
    return Model(network=IntegerNetwork(seed).eval(), card=ModelCard(**(card | changes)))
