"""The parameter tables of the ESPNet paper, row by row, beside what this project's networks have.

Source: Mehta et al., ECCV 2018, tables 1c and 2a to 2g, figures 3 and 5. The paper counts with 20 output
classes and the 16+C decoder, and truncates millions to three decimals; those of other people's networks it
rounds or truncates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from wsiseg.models.build import build_model
from wsiseg.models.network import count_parameters
from wsiseg.models.swapped import SWAPPED

SWAP_BASE = 282_146
"""ESPNet-C, alpha3 = 3, with ESP modules and strided convolutions: what the module comparison is built on."""

Verdict = Literal["agrees", "differs", "cannot be reproduced", "reconstruction"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of the paper."""

    table: str
    label: str
    paper_millions: str | None
    """As printed; None where the paper prints none."""
    network: str | None
    """For `build_model`; None where the paper does not say enough to build it."""
    options: dict[str, Any] = field(default_factory=dict)
    classes: int = 20
    paper_megabytes: str | None = None
    """As printed: size of a file, in bytes / 1024 / 1000, truncated."""
    k: int | None = None
    """Where the paper gives the effective receptive field of a module: its K."""
    note: str = ""


@dataclass(frozen=True)
class CountedRow:
    """A row, and what was counted."""

    row: Row
    parameters: int | None
    verdict: Verdict

    @property
    def megabytes(self) -> float | None:
        """Weights alone: 4 bytes per parameter, in 10^6 bytes."""
        return None if self.parameters is None else self.parameters * 4 / 1e6

    @property
    def ratio_to_esp(self) -> float | None:
        """Parameters over those of the same network with ESP modules; for the module comparison only."""
        if self.parameters is None or self.row.table != "fig. 5":
            return None
        return self.parameters / SWAP_BASE

    @property
    def field_px(self) -> int | None:
        """Side of the effective receptive field of one ESP module."""
        return None if self.row.k is None else module_field_px(self.row.k)

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return {
            **asdict(self.row),
            "parameters": self.parameters,
            "megabytes": self.megabytes,
            "module_field_px": self.field_px,
            "ratio_to_esp": self.ratio_to_esp,
            "verdict": self.verdict,
        }


def module_field_px(k: int) -> int:
    """Return the side of one module's effective receptive field, (n - 1) 2^(K-1) + 1 with n = 3."""
    return (2 << (k - 1)) + 1


def _a(**options: Any) -> dict[str, Any]:
    return {"alpha3": 3, **options}


_FILE = "the paper's size is a file's; the released one has {} bytes"
_SWAP_NOTE = {
    "mobilenet": "paper: parameters similar to ESP; ESP 7 points above",
    "shufflenet": "paper: parameters similar to ESP; ESP 12 points above; g = 4, K = 4",
    "inception": "paper: accuracy comparable, ESP more efficient",
    "resnext": "paper: accuracy comparable, ESP more efficient",
    "resnet": "paper: 6.5x the parameters of ESP",
    "atrous-pyramid": "figure 3e; not trained in the paper",
}

_OTHERS = (
    ("SegNet", "29.5", "segnet", "rounded"),
    (
        "RefineNet",
        "42.6",
        "refinenet",
        "a bare ResNet-101, with running statistics, would be 42,605,504; the decoder alone has 75.6 M",
    ),
    ("DeepLab-v2", "44.04", "deeplab-v2", "truncated"),
    ("PSPNet", "65.7", "pspnet", "without the second classifier, which only training needs"),
    (
        "LRR-4x, ResNet-101",
        "48",
        "lrr",
        "which LRR is not said: 5x5 kernels as in the release, whose VGG-16 network would have 162.5 M",
    ),
    ("Dilation8", "141.13", "dilation8", "without biases 141,135,246, which truncates to 141.13"),
    ("FCN-8s", "134.5", "fcn8s", "rounded"),
)

ROWS: tuple[Row, ...] = (
    Row(
        table="2a",
        label="ESPNet-A, ReLU",
        paper_millions=".183",
        network="espnet-a",
        options=_a(activation="relu"),
        note="ReLU has no parameters, so the figure cannot be the one of PReLU",
    ),
    Row(table="2a", label="ESPNet-A, PReLU", paper_millions=".183", network="espnet-a", options=_a()),
    Row(
        table="2c",
        label="ESPNet-A, strided convolution",
        paper_millions=".274",
        network="espnet-a",
        options=_a(downsampling="strided-conv"),
    ),
    Row(table="2c", label="ESPNet-A, strided ESP", paper_millions=".183", network="espnet-a", options=_a()),
    Row(
        table="2d",
        label="ESPNet-C, C1: reduce 3x3, dilated",
        paper_millions=".276",
        network="espnet-c",
        options=_a(reduce_kernel=3),
        paper_megabytes="1.2",
    ),
    Row(
        table="2d",
        label="ESPNet-C, C2: reduce 1x1, dilated",
        paper_millions=".187",
        network="espnet-c",
        options=_a(),
        paper_megabytes="0.8",
    ),
    Row(
        table="2d",
        label="ESPNet-C, C3: reduce 1x1, plain",
        paper_millions=".187",
        network="espnet-c",
        options=_a(dilated=False),
        paper_megabytes="0.8",
    ),
    *(
        Row(
            table="2e",
            label=f"ESPNet-A, K = {k}",
            paper_millions=millions,
            network="espnet-a",
            options=_a(k=k),
            k=k,
            note="" if k == 5 else "only if the strided ESPs keep K = 5",
        )
        for k, millions in ((2, ".358"), (4, ".215"), (5, ".183"), (6, ".165"), (7, ".152"), (8, ".143"))
    ),
    Row(
        table="2f",
        label="ESPNet-A",
        paper_millions=".183",
        network="espnet-a",
        options=_a(),
        note="the paper's words (width expanded by a convolution) would give 190,944",
    ),
    Row(table="2f", label="ESPNet-B", paper_millions=".186", network="espnet-b", options=_a()),
    Row(table="2f", label="ESPNet-C", paper_millions=".187", network="espnet-c", options=_a()),
    Row(
        table="2f",
        label="ESPNet-C, input-aware fusion",
        paper_millions=".206",
        network=None,
        note="the fusion is not specified well enough to be built",
    ),
    *(
        Row(
            table="2g",
            label=f"ESPNet-C, alpha3 = {alpha3}",
            paper_millions=millions,
            network="espnet-c",
            options={"alpha3": alpha3},
            paper_megabytes=megabytes,
            note=_FILE.format(f"{size:,}"),
        )
        for alpha3, millions, megabytes, size in (
            (3, ".187", "0.75", 772764),
            (5, ".252", "1.01", 1037106),
            (8, ".349", "1.40", 1433605),
        )
    ),
    *(
        Row(
            table="2g",
            label=f"ESPNet, alpha3 = {alpha3}",
            paper_millions=millions,
            network="espnet",
            options={"alpha3": alpha3},
            paper_megabytes=megabytes,
            note=_FILE.format(f"{size:,}"),
        )
        for alpha3, millions, megabytes, size in (
            (3, ".202", "0.82", 840008),
            (5, ".267", "1.07", 1104612),
            (8, ".364", "1.46", 1501621),
        )
    ),
    Row(
        table="1c",
        label="ESPNet, PASCAL VOC",
        paper_millions=".364",
        network="espnet",
        options={"alpha3": 8},
        classes=21,
        note=".364 is the count with 20 classes; VOC has 21 outputs with the background",
    ),
    *(
        Row(table="1c", label=label, paper_millions=millions, network=name, classes=21, note=note)
        for label, millions, name, note in _OTHERS
    ),
    Row(
        table="1d",
        label="Multi-resolution network, breast",
        paper_millions="26.03",
        network="multi-resolution",
        classes=8,
        note="26,033,260 with the running statistics of its normalisations",
    ),
    Row(table="1d", label="Y-Net (ESP-PSP), breast", paper_millions="2.75", network="ynet", classes=8),
    Row(
        table="1d",
        label="Y-Net with diagnosis, breast",
        paper_millions="3.91",
        network="ynet-joint",
        classes=8,
        note="from its own publication; 225,792 of them are never used, docs/decisions/0016",
    ),
    Row(
        table="fig. 6",
        label="SQNet",
        paper_millions=None,
        network="sqnet",
        note="its count stands in the figure's drawing only; the decoder's widths are ours",
    ),
    *(
        Row(
            table="fig. 5",
            label=f"ESPNet-C with {module}",
            paper_millions=".187" if module == "esp" else None,
            network="espnet-c",
            options=_a(downsampling="strided-conv", module=module),
            note="the caption says strided convolution, which .187 is not"
            if module == "esp"
            else _SWAP_NOTE[module],
        )
        for module in ("esp", *SWAPPED)
    ),
)


def count_rows() -> list[CountedRow]:
    """Build every row's network and count its parameters."""
    return [_count(row) for row in ROWS]


def _count(row: Row) -> CountedRow:
    if row.network is None:
        return CountedRow(row, None, "cannot be reproduced")
    with torch.device("meta"):  # shapes alone: the largest have half a gigabyte of weights
        parameters = count_parameters(build_model(row.network, num_classes=row.classes, **row.options))
    if row.paper_millions is None:
        return CountedRow(row, parameters, "reconstruction")
    forms = printed_millions(parameters, row.paper_millions)
    # The paper truncates its own networks' counts; 182,576 is not its .183.
    same = row.paper_millions in (forms[:1] if row.paper_millions.startswith(".") else forms)
    return CountedRow(row, parameters, "agrees" if same else "differs")


def printed_millions(parameters: int, like: str) -> tuple[str, str]:
    """Return millions truncated and rounded, with as many decimals as `like` has."""
    decimals = len(like.partition(".")[2])
    unit = 10 ** (6 - decimals)
    cut, nearest = ((parameters + extra) // unit * unit / 1e6 for extra in (0, unit // 2))
    return f"{cut:.{decimals}f}".removeprefix("0"), f"{nearest:.{decimals}f}".removeprefix("0")
