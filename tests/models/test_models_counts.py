"""Every parameter count of the paper's tables, exactly."""

import pytest

from wsiseg.models import build_model
from wsiseg.models.network import count_parameters

COUNTS = {
    # classes: (ESPNet-C, ESPNet v1, ESPNet v2), each for alpha3 = 3, 5, 8
    19: ((187273, 252041, 349193), (201029, 265797, 362949), (201542, 266310, 363462)),
    20: ((187529, 252297, 349449), (202649, 267417, 364569), (203189, 267957, 365109)),
    21: ((187785, 252553, 349705), (204102, 268870, 366022), (204669, 269437, 366589)),
}


def count(name, num_classes=20, **options):
    return count_parameters(build_model(name, num_classes=num_classes, **options))


@pytest.mark.parametrize("classes", COUNTS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_encoder_and_full_network(classes, place):
    alpha3 = (3, 5, 8)[place]
    encoder, first, second = COUNTS[classes]
    assert count("espnet-c", classes, alpha3=alpha3) == encoder[place]
    assert count("espnet", classes, alpha3=alpha3) == first[place]
    assert count("espnet", classes, alpha3=alpha3, decoder="v2") == second[place]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("espnet-a", {}, 183568),
        ("espnet-a", {"activation": "relu"}, 182576),
        ("espnet-a", {"downsampling": "strided-conv"}, 274000),
        ("espnet-a", {"k": 2}, 358928),
        ("espnet-a", {"k": 4}, 215568),
        ("espnet-a", {"k": 5}, 183568),
        ("espnet-a", {"k": 6}, 165648),
        ("espnet-a", {"k": 7}, 152848),
        ("espnet-a", {"k": 8}, 143888),
        ("espnet-a", {"residual": False}, 183568),
        ("espnet-a", {"hff": False}, 183568),
        ("espnet-b", {}, 186512),
        ("espnet-c", {"reduce_kernel": 3}, 276617),
        ("espnet-c", {"dilated": False}, 187529),
        ("espnet-c", {"downsampling": "strided-conv"}, 282146),
    ],
)
def test_ablations(name, options, expected):
    assert count(name, alpha3=3, **options) == expected
