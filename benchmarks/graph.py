"""Ways to write ESPNet's graph, against the one in use: python benchmarks/graph.py

Each variant is the same network with the same weights; it must give the same labels (the share that does is
shown: sums in another order move a label in some thousands), and all are timed in turn in one run.

- converted: by OpenVINO from the torch module, operation by operation
- sums as one convolution: converted, with the fusion of the dilated branches as a fixed 1x1 convolution
- padded branches: converted, with the narrow maps of an ESP filled with zeros up to multiples of 16
- plain ONNX: by the ONNX exporter
"""

from __future__ import annotations

import copy
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from in_turn import labels_of, request_of, seconds_in_turn
from tables import finished, parser, report
from torch import nn

from wsiseg import load_model
from wsiseg.inference.openvino_runtime import convert, core, graph_of, has_bf16
from wsiseg.models import Model
from wsiseg.models.blocks import ESP
from wsiseg.models.export import onnx_graph
from wsiseg.phantom.generate import generate_phantom

VECTOR = 16


class SumsAsConvolution(nn.Module):
    """An ESP whose hierarchical fusion is a 1x1 convolution with weights of 0 and 1."""

    def __init__(self, block: ESP) -> None:
        super().__init__()
        self.block = block
        widths = [branch.out_channels for branch in block.branches]
        starts = np.concatenate([[0], np.cumsum(widths)])
        weight = torch.zeros(sum(widths), sum(widths), 1, 1)
        for index, width in enumerate(widths):
            for part in range(1, index + 1) if index else [0]:
                for channel in range(width):
                    weight[starts[index] + channel, starts[part] + channel] = 1.0
        self.fuse = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        self.fuse.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Do what the block does."""
        reduced = self.block.reduce(x)
        merged = self.fuse(torch.cat([branch(reduced) for branch in self.block.branches], dim=1))
        if self.block.residual:
            merged = merged + x
        return self.block.norm(merged)


class PaddedBranches(nn.Module):
    """An ESP whose narrow maps are filled up to whole vectors."""

    def __init__(self, block: ESP) -> None:
        super().__init__()
        self.block = block
        self.widths = [branch.out_channels for branch in block.branches]
        self.reduce = _padded(block.reduce, block.reduce.in_channels)
        self.branches = nn.ModuleList(_padded(branch, self.reduce.out_channels) for branch in block.branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Do what the block does."""
        reduced = self.reduce(x)
        parts = [branch(reduced) for branch in self.branches]
        for index in range(2, len(parts)):
            parts[index] = parts[index - 1] + parts[index]
        merged = torch.cat([part[:, :width] for part, width in zip(parts, self.widths, strict=True)], dim=1)
        if self.block.residual:
            merged = merged + x
        return self.block.norm(merged)


def _padded(conv: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    out = -(-conv.out_channels // VECTOR) * VECTOR
    made = nn.Conv2d(in_channels, out, conv.kernel_size, conv.stride, conv.padding, conv.dilation, bias=False)
    weight = torch.zeros_like(made.weight)
    weight[: conv.out_channels, : conv.in_channels] = conv.weight.detach()
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


def rewritten(model: Model, kind: type[nn.Module]) -> Model:
    """Return a copy of a model with every ESP of equal widths written another way."""
    network = copy.deepcopy(model.network)

    def visit(parent: nn.Module) -> None:
        for name, child in parent.named_children():
            if isinstance(child, ESP) and child.hff:
                setattr(parent, name, kind(child))
            else:
                visit(child)

    visit(network)
    return Model(network=network.eval(), card=model.card)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, "graph")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("--side", type=int, default=1280, help="of the input, px")
    options.add_argument("--calls", type=int, default=12)
    given = options.parse_args()
    if finished(given):
        return
    model = load_model(given.model)
    shape = (1, given.side, given.side, 3)
    pixels = generate_phantom(seed=1, width_px=given.side, height_px=given.side).rgb[None]
    precision = "bf16" if has_bf16() else "f32"
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "plain.onnx"
        exported.write_bytes(onnx_graph(model, shape))
        graphs = {
            "in use": graph_of(model, shape),
            "converted": convert(model, shape),
            "sums as one convolution": convert(rewritten(model, SumsAsConvolution), shape),
            "padded branches": convert(rewritten(model, PaddedBranches), shape),
            "plain ONNX": core().read_model(exported),
        }
    requests = {name: request_of(graph, precision) for name, graph in graphs.items()}
    exact = {name: request_of(graph, "f32") for name, graph in graphs.items()}
    taken = seconds_in_turn(requests, pixels, given.calls)
    reference = labels_of(exact["in use"], pixels)
    rows = []
    for name, values in taken.items():
        median = statistics.median(values)
        rows.append(
            {
                "graph": name,
                "MP/s": given.side**2 / 1e6 / median,
                "against the one in use": statistics.median(taken["in use"]) / median,
                "labels equal in fp32, %": 100 * float((labels_of(exact[name], pixels) == reference).mean()),
                f"labels equal in {precision}, %": 100
                * float((labels_of(requests[name], pixels) == labels_of(requests["in use"], pixels)).mean()),
            }
        )
    note = f"{model.card.name}, {given.side} px, medians of {given.calls} calls in turn."
    report(given, rows, note)


if __name__ == "__main__":
    main()
