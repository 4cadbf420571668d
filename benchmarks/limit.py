"""The network against the machine's limit: python benchmarks/limit.py

The limit is a matrix product of 2,048 x 2,048 in the same precision, by oneDNN through torch and by OpenVINO,
whichever is faster; the network's operations are counted by torch. Also the plain ONNX export in OpenVINO,
in turn with our own way into it; both with as many tiles at once as `predict` has in work.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import openvino
import torch
from tables import finished, parser, report
from torch.utils.flop_counter import FlopCounterMode

from wsiseg import load_model
from wsiseg.inference.openvino_runtime import core, graph_of, has_bf16
from wsiseg.inference.runtime import usable_cpus
from wsiseg.models.export import onnx_graph
from wsiseg.run.slide_run import streams_for

SIDE = 2048


def rate(call, work: float, seconds: float) -> float:
    """Return work per second of a call, after one that does not count."""
    call()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        call()
        count += 1
    return count * work / (time.perf_counter() - started)


def matrix_product(precision: str, seconds: float) -> float:
    """Return FLOP/s of the best matrix product."""
    kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    a, b = torch.randn(SIDE, SIDE).to(kind), torch.randn(SIDE, SIDE).to(kind)
    work = 2.0 * SIDE**3
    with torch.inference_mode():
        by_torch = rate(lambda: a @ b, work, seconds)
    ops = openvino.opset13
    left = ops.parameter([SIDE, SIDE], np.float32, name="left")
    right = ops.constant(np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32))
    graph = openvino.Model([ops.matmul(left, right, False, False)], [left], "product")
    request = _compiled(graph, precision, 1).create_infer_request()
    given = np.random.default_rng(1).standard_normal((SIDE, SIDE)).astype(np.float32)
    return max(by_torch, rate(lambda: request.infer([given], share_inputs=True), work, seconds))


def _compiled(graph, precision: str, streams: int):
    hint = {"bf16": "bf16", "fp32": "f32"}[precision]
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": usable_cpus(),
    }
    return core().compile_model(graph, "CPU", settings)


def network_rate(compiled, pixels: np.ndarray, streams: int, seconds: float) -> float:
    """Return megapixels of input per second, `streams` tiles at once, after as many that do not count."""
    queue = openvino.AsyncInferQueue(compiled, streams)
    for _ in range(streams):
        queue.start_async([pixels], share_inputs=True)
    queue.wait_all()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        queue.start_async([pixels], share_inputs=True)
        count += 1
    queue.wait_all()
    return count * pixels.size / 3e6 / (time.perf_counter() - started)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, "limit")
    options.add_argument("-m", "--model", default="tissue8-demo")
    options.add_argument("--side", type=int, default=1280, help="of the input, px")
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--repeats", type=int, default=3)
    given = options.parse_args()
    if finished(given):
        return
    model = load_model(given.model)
    torch.set_num_threads(usable_cpus())
    shape = (1, given.side, given.side, 3)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.network(torch.zeros(1, 3, given.side, given.side))
    flops = float(counter.get_total_flops())
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    megapixels = given.side**2 / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "plain.onnx"
        exported.write_bytes(onnx_graph(model, shape))
        plain = core().read_model(exported)
    rows = []
    streams = streams_for(None)
    for precision in ("fp32", "bf16") if has_bf16() else ("fp32",):
        ours = _compiled(graph_of(model, shape), precision, streams)
        theirs = _compiled(plain, precision, streams)
        for number in range(given.repeats):
            limit = matrix_product(precision, given.seconds / 2)
            own = network_rate(ours, pixels, streams, given.seconds)
            onnx = network_rate(theirs, pixels, streams, given.seconds)
            rows.append(
                {
                    "precision": precision,
                    "run": number + 1,
                    "matrix product, GFLOP/s": limit / 1e9,
                    "network, MP/s": own,
                    "network, GFLOP/s": own * flops / megapixels / 1e9,
                    "share of the limit": own * flops / megapixels / limit,
                    "against the plain ONNX export": own / onnx,
                }
            )
    note = (
        f"{model.card.name}, {flops / megapixels / 1e9:.1f} GFLOP per megapixel, input {given.side} px, "
        f"{usable_cpus()} CPUs, {streams} tiles at once. Targets in bf16: 0.60 of the limit, 1.4 times the "
        "plain export."
    )
    report(given, rows, note)


if __name__ == "__main__":
    main()
