"""How far a network looks."""

import numpy as np
import pytest
import torch

from wsiseg.errors import UsageError
from wsiseg.models import Model, build_model
from wsiseg.models.blocks import ESP, BNAct, conv
from wsiseg.models.field import Field, describe_cost, measure_field, theoretical_reach
from wsiseg.models.network import SegmentationNetwork
from wsiseg.models.paper_tables import module_field_px


class Plain(SegmentationNetwork):
    """Two 3x3 convolutions with dilations 1 and 2: looks 3 px to each side."""

    def __init__(self) -> None:
        super().__init__(8)
        self.body = torch.nn.Sequential(conv(3, 8, 3), BNAct(8), conv(8, 8, 3, dilation=2))

    def segment(self, image):
        return self.body(image)


class OneModule(SegmentationNetwork):
    def __init__(self, k: int) -> None:
        super().__init__(8)
        self.body = ESP(3, 8, k=k)

    def segment(self, image):
        return self.body(image)


def test_the_theoretical_reach_of_a_known_network():
    assert theoretical_reach(Plain().eval()) == 3


@pytest.mark.parametrize("k", [2, 4, 5, 6, 7, 8])
def test_one_module_looks_as_far_as_the_paper_says(k):
    published = {2: 5, 4: 17, 5: 33, 6: 65, 7: 129, 8: 257}[k]
    assert module_field_px(k) == published
    assert 2 * theoretical_reach(OneModule(k).eval()) + 1 == published


def test_dilated_modules_add_up():
    # Each module at an eighth of the resolution adds 16 x 8 px: 784, 1,040 and 1,424 for 3, 5 and 8.
    reach = [theoretical_reach(build_model("espnet", num_classes=5, alpha3=n).eval()) for n in (1, 2)]
    assert reach == [528, 656]


def test_the_gradient_stays_within_the_theoretical_field(saved_card):
    model = Model(Plain().eval(), saved_card())
    field = measure_field(model, window_px=64, repeats=3)
    assert field.theoretical_px == 7
    sides = [field.extents_px[share] for share in (0.5, 0.9, 0.95, 0.99)]
    assert sides == sorted(sides)
    assert 1 <= sides[0] <= sides[-1] <= 7
    assert field.suggested_halo_px(8) == 8


def test_it_is_measured_on_a_picture_too(saved_card):
    model = Model(Plain().eval(), saved_card())
    picture = np.random.default_rng(1).integers(0, 256, (80, 100, 3), np.uint8)
    first = measure_field(model, image=picture, window_px=64, repeats=2)
    assert first == measure_field(model, image=picture, window_px=64, repeats=2)
    with pytest.raises(UsageError, match="larger image or a smaller window"):
        measure_field(model, image=picture, window_px=128)
    with pytest.raises(UsageError, match="multiple of 8"):
        measure_field(model, window_px=100)
    with pytest.raises(UsageError, match="repeats"):
        measure_field(model, repeats=0)


@pytest.mark.parametrize(
    ("reach", "extent", "filled"), [(1000, 460, True), (1000, 300, False), (200, 401, False)]
)
def test_a_filled_window_is_noticed(reach, extent, filled):
    assert Field(reach, 512, {0.99: extent}, 1).window_is_filled is filled


def test_the_cost_of_a_halo():
    assert describe_cost(0, 1024) == 1
    assert describe_cost(512, 1024) == 4
