"""What 8-bit convolutions would bring: python benchmarks/int8.py [SLIDE[@MPP]]...

The graph in use with the input and the weights of its convolutions quantised to 8 bits: weights per
channel, inputs per map, by the ranges that fp32 has on phantoms other than those measured. Measured are its
speed, in turn with the graph in use, and how many labels equal those of fp32. `wsiseg predict` does not
offer it: docs/decisions/0020 says why.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from in_turn import labels_of, request_of, seconds_in_turn
from openvino import opset13 as ops
from tables import finished, parser, report

from wsiseg import load_model
from wsiseg.geometry import Region
from wsiseg.inference.openvino_runtime import core, graph_of, has_bf16
from wsiseg.phantom.generate import generate_phantom
from wsiseg.slides import open_slide
from wsiseg.tiling.frame import FrameReader, frame_at

CALIBRATION_SEEDS = (7, 8)
MEASURED_SEED = 5
CLIPPED_PERCENT = 0.01
"""Of the values of a map, at each end, that lie outside of its range."""

Source = tuple[str, int]
"""Name of a node and number of its output."""


def convolutions(graph: Any) -> list[Any]:
    """Return a graph's convolutions, from the image on."""
    return [node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"]


def source_of(node: Any) -> Source:
    """Return what a convolution takes its map from."""
    output = node.input(0).get_source_output()
    return output.get_node().get_friendly_name(), output.get_index()


def input_ranges(make: Callable[[], Any], images: list[np.ndarray]) -> list[tuple[float, float]]:
    """Return least and greatest value of each map that convolutions take, in the graph's order."""
    graph = make()
    taken: dict[Source, Any] = {}
    for node in convolutions(graph):
        taken.setdefault(source_of(node), node.input(0).get_source_output())
    probe = openvino.Model([ops.result(output) for output in taken.values()], graph.get_parameters(), "maps")
    compiled = core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = []
    for image in images:
        maps = compiled([image])
        ends = (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)
        found.append([np.percentile(maps[number][..., ::3, ::3], ends) for number in range(len(taken))])
    each = np.array(found)
    return list(zip(each[..., 0].min(0).tolist(), each[..., 1].max(0).tolist(), strict=True))


def quantised(graph: Any, ranges: list[tuple[float, float]], kept: Callable[[int], bool]) -> Any:
    """Quantise a graph's convolutions but those whose number is to be kept; returns the graph."""
    nodes = convolutions(graph)
    order = list(dict.fromkeys(source_of(node) for node in nodes))
    sources = [source_of(node) for node in nodes]  # before the first of them has another
    made: dict[Source, Any] = {}
    for number, (node, source) in enumerate(zip(nodes, sources, strict=True)):
        if kept(number):
            continue
        if source not in made:
            low, high = ranges[order.index(source)]
            most = max(-low, high * 128 / 127)
            low, high = (0.0, high) if low >= 0 else (-most, most * 127 / 128)
            made[source] = fake_quantised(node.input(0).get_source_output(), low, high, 256)
        node.input(0).replace_source_output(made[source].output(0))
        weight = node.input(1).get_source_output().get_node().data.astype(np.float32)
        most = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
        most[most == 0] = 1
        node.input(1).replace_source_output(
            fake_quantised(ops.constant(weight), -most, most, 255).output(0)  # symmetric, as int8 wants it
        )
    return graph


def fake_quantised(value: Any, low: float | np.ndarray, high: float | np.ndarray, levels: int) -> Any:
    """Return a value in so many steps from low to high."""
    ends = [ops.constant(np.asarray(end, np.float32).reshape(-1, 1, 1, 1)) for end in (low, high)]
    return ops.fake_quantize(value, *ends, *ends, levels)


def tile_of(path: str, slide_mpp: str, mpp: float, side: int) -> np.ndarray:
    """Return (1, side, side, 3) uint8 of a slide's middle at the model's scale."""
    with open_slide(path) as slide:
        own = (float(slide_mpp), float(slide_mpp)) if slide_mpp else slide.mpp
        if own is None:
            raise SystemExit(f"{path}: does not say its um per pixel: give it as {path}@0.5")
        frame = frame_at(slide.levels[0], own, mpp, whole_within=0.01)
        at = Region((frame.width_px - side) // 2, (frame.height_px - side) // 2, side, side)
        return FrameReader(slide, frame, slide.background).read(at)[0][None]


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, "int8")
    options.add_argument("slides", nargs="*", metavar="SLIDE[@MPP]", help="a phantom is always measured")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("--side", type=int, default=1280, help="of the input, px")
    options.add_argument("--calls", type=int, default=12)
    given = options.parse_args()
    if finished(given):
        return
    model = load_model(given.model)
    shape = (1, given.side, given.side, 3)

    def make() -> Any:
        return graph_of(model, shape)

    def phantom(seed: int) -> np.ndarray:
        return generate_phantom(seed=seed, width_px=given.side, height_px=given.side).rgb[None]

    images = {"a phantom": phantom(MEASURED_SEED)}
    for source in given.slides:
        path, _, mpp = source.partition("@")
        images[Path(path).name] = tile_of(path, mpp, model.card.mpp, given.side)
    ranges = input_ranges(make, [phantom(seed) for seed in CALIBRATION_SEEDS])
    last = len(convolutions(make())) - 3
    half = "bf16" if has_bf16() else "f32"
    graphs = {
        "fp32": (make(), "f32"),
        "in use": (make(), half),
        "8 bits": (quantised(make(), ranges, lambda number: False), half),
        "8 bits but first and last": (quantised(make(), ranges, lambda n: n == 0 or n >= last), half),
    }
    requests = {name: request_of(graph, precision) for name, (graph, precision) in graphs.items()}
    taken = seconds_in_turn(requests, images["a phantom"], given.calls)
    labels = {
        (name, image): labels_of(request, pixels)
        for name, request in requests.items()
        for image, pixels in images.items()
    }
    rows = []
    for name, values in taken.items():
        median = statistics.median(values)
        rows.append(
            {
                "graph": name,
                "MP/s": given.side**2 / 1e6 / median,
                "against the one in use": statistics.median(taken["in use"]) / median,
                **{
                    f"labels as fp32, {image}, %": 100
                    * float((labels[name, image] == labels["fp32", image]).mean())
                    for image in images
                },
            }
        )
    note = (
        f"{model.card.name}, {given.side} px, medians of {given.calls} calls in turn; in use: {half}. "
        f"Wanted of a precision: 99.5 % of labels."
    )
    report(given, rows, note)


if __name__ == "__main__":
    main()
