"""`wsiseg models params` prints every row of the paper, and says where it does not agree."""

import pytest

from wsiseg.models import build_model
from wsiseg.models.network import count_parameters
from wsiseg.models.paper_tables import ROWS, SWAP_BASE, count_rows, printed_millions


@pytest.fixture(scope="module")
def rows():
    return {(item.row.table, item.row.label): item for item in count_rows()}


def test_every_table_is_there(rows):
    tables = [table for table, _ in rows]
    assert {name: tables.count(name) for name in dict.fromkeys(tables)} == {
        "2a": 2,
        "2c": 2,
        "2d": 3,
        "2e": 6,
        "2f": 4,
        "2g": 6,
        "1c": 8,
        "1d": 3,
        "fig. 6": 1,
        "fig. 5": 7,
    }
    assert len(rows) == len(ROWS)


def test_what_differs_says_why(rows):
    differs = {key for key, item in rows.items() if item.verdict == "differs"}
    assert differs == {
        ("2a", "ESPNet-A, ReLU"),
        ("1c", "ESPNet, PASCAL VOC"),
        ("1c", "RefineNet"),
        ("1c", "LRR-4x, ResNet-101"),
        ("1c", "Dilation8"),
        ("1d", "Multi-resolution network, breast"),
        ("fig. 5", "ESPNet-C with esp"),
    }
    assert all(item.row.note for item in rows.values() if item.verdict != "agrees")
    fusion = rows["2f", "ESPNet-C, input-aware fusion"]
    assert (fusion.verdict, fusion.parameters, fusion.megabytes) == ("cannot be reproduced", None, None)


def test_sizes_and_ratios(rows):
    full = rows["2g", "ESPNet, alpha3 = 8"]
    assert full.megabytes == pytest.approx(364569 * 4 / 1e6)
    assert rows["2e", "ESPNet-A, K = 8"].field_px == 257
    assert rows["fig. 5", "ESPNet-C with esp"].parameters == SWAP_BASE
    assert rows["fig. 5", "ESPNet-C with resnet"].ratio_to_esp == pytest.approx(1204514 / 282146)
    assert full.ratio_to_esp is None
    assert full.as_json()["verdict"] == "agrees"


def test_released_file_sizes_truncate_to_the_paper(rows):
    for (table, _), item in rows.items():
        if table == "2g":
            size = int(item.row.note.split()[-2].replace(",", ""))
            assert f"{size / 1024 / 1000:.6f}"[:4] == item.row.paper_megabytes


def test_truncation():
    assert printed_millions(187_999, ".187") == (".187", ".188")
    assert printed_millions(2_064_256, "2.064") == ("2.064", "2.064")
    assert printed_millions(134_489_759, "134.5") == ("134.4", "134.5")
    assert printed_millions(48_600_000, "48") == ("48", "49")


@pytest.mark.parametrize(
    ("label", "printed", "agrees"),
    [
        ("SegNet", "29.5", True),
        ("RefineNet", "42.6", False),
        ("DeepLab-v2", "44.04", True),
        ("PSPNet", "65.7", True),
        ("LRR-4x, ResNet-101", "48", False),
        ("Dilation8", "141.13", False),
        ("FCN-8s", "134.5", True),
    ],
)
def test_the_compared_networks_stand_beside_the_papers_counts(rows, label, printed, agrees):
    item = rows["1c", label]
    assert (item.row.paper_millions, item.row.classes) == (printed, 21)
    assert (item.verdict == "agrees") is agrees


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("mobilenet", 234274),
        ("shufflenet", 179746),
        ("inception", 328175),
        ("resnext", 382451),
        ("resnet", 1204514),
        ("atrous-pyramid", 686882),
    ],
)
def test_reconstructed_counts_stay(rows, module, expected):
    assert rows["fig. 5", f"ESPNet-C with {module}"].parameters == expected
    assert rows["fig. 5", f"ESPNet-C with {module}"].verdict == "reconstruction"


@pytest.mark.parametrize(
    ("name", "classes", "exact", "published"),
    [
        # ENet, table 3: 0.37 M (the class count is not said; 19 and 20 give it).
        ("enet", 19, 365455, "0.37"),
        ("enet", 20, 365599, "0.37"),
        # ERFNet: 2.06 M where others count it, ~2.1 M in its paper.
        ("erfnet", 19, 2064191, "2.06"),
        ("erfnet", 20, 2064256, "2.06"),
    ],
)
def test_published_counts_of_the_others(name, classes, exact, published):
    count = count_parameters(build_model(name, num_classes=classes))
    assert count == exact
    assert f"{count / 1e6:.2f}" == published


def test_unet_is_halvable():
    counts = {w: count_parameters(build_model("unet", num_classes=2, width=w)) for w in (64, 32, 16, 8)}
    assert counts == {64: 31037698, 32: 7763074, 16: 1942594, 8: 486562}
    # The paper's network has a bias in each of its 23 convolutions and no BN; 18 of ours have BN instead.
    biases = sum(2 * 64 * 2**level for level in range(5)) + sum(2 * 64 * 2**level for level in range(4))
    assert counts[64] - 2 * biases + biases == 31031810
