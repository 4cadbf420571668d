"""Graphs against each other, compiled alike and timed in turn: what else the machine does hits them all."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from wsiseg.inference.openvino_runtime import core
from wsiseg.inference.runtime import usable_cpus


def request_of(graph: Any, precision: str) -> Any:
    """Return a request of one stream that has all processors; precision is OpenVINO's word: bf16, f32."""
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": usable_cpus(),
    }
    return core().compile_model(graph, "CPU", settings).create_infer_request()


def seconds_in_turn(requests: dict[str, Any], pixels: np.ndarray, calls: int) -> dict[str, list[float]]:
    """Return the seconds of each call of each request; the first, which warms up, is left out."""
    taken: dict[str, list[float]] = {name: [] for name in requests}
    for number in range(calls + 1):
        for name, request in requests.items():
            started = time.perf_counter()
            request.infer([pixels], share_inputs=True)
            if number:
                taken[name].append(time.perf_counter() - started)
    return taken


def labels_of(request: Any, pixels: np.ndarray) -> np.ndarray:
    """Return a copy of the labels. Shared inputs everywhere: a copied one overwrites the last shared one."""
    request.infer([pixels], share_inputs=True)
    return request.get_output_tensor(0).data.copy()
