"""Combinations that cannot be are refused with the rule that they break."""

import pytest

from wsiseg.errors import UsageError
from wsiseg.models import build_model


@pytest.mark.parametrize(
    ("name", "classes", "options", "message"),
    [
        (
            "espnet2",
            8,
            {},
            "unknown network 'espnet2': expected one of deeplab-v2, dilation8, enet",
        ),
        ("espnet", 4, {}, "needs 5 or more"),
        ("espnet-c", 0, {}, "from 1 to 254"),
        ("espnet-c", 255, {}, "from 1 to 254"),
        ("espnet-c", True, {}, "from 1 to 254"),
        ("espnet-c", 8, {"k": 9}, "k is 9: expected one of 2, 3"),
        ("espnet-c", 8, {"k": 5.0}, "k is 5.0"),
        ("espnet-c", 8, {"alpha3": 0}, "alpha3 is 0"),
        ("espnet-c", 8, {"alpha2": 65}, "alpha2 is 65"),
        ("espnet-c", 8, {"hff": 1}, "hff is 1: expected one of True, False"),
        ("espnet-c", 8, {"activation": "gelu"}, "prelu, relu"),
        ("espnet-c", 8, {"reduce_kernel": 5}, "expected one of 1, 3"),
        ("espnet-c", 8, {"decoder": "v1"}, "unknown option of espnet-c 'decoder'"),
        ("espnet", 8, {"decoder": "v3"}, "expected one of v1, v2"),
        ("espnet-c", 8, {"module": "resnet", "hff": False}, "changes the ESP module"),
        ("espnet-c", 8, {"module": "shufflenet", "k": 5}, "K = 4 and g = 4"),
        ("espnet-c", 8, {"dilation": 3}, "unknown option of espnet-c 'dilation'"),
        ("enet", 8, {"width": 8}, "enet has no options"),
        ("unet", 8, {"width": 7}, "expected one of 8, 16, 32, 64"),
        ("ynet", 8, {"diagnoses": 4}, "ynet has no options"),
        ("ynet-joint", 8, {"diagnoses": 1}, "diagnoses is 1: expected one of 2 to 64"),
        ("ynet-joint", 8, {"diagnoses": 4.0}, "diagnoses is 4.0"),
        ("ynet-joint", 8, {"idle_branches": 0}, "expected one of True, False"),
    ],
)
def test_refused(name, classes, options, message):
    with pytest.raises(UsageError, match=message):
        build_model(name, num_classes=classes, **options)


def test_fewer_classes_do_without_the_decoder():
    assert build_model("espnet-c", num_classes=2, alpha3=1).num_classes == 2
