"""Where the time goes: the kinds of operators, or GPU kernels, with their share of the time."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from wsiseg.inference.openvino_runtime import core
from wsiseg.inference.runtime import Runtime, RuntimeChoice
from wsiseg.models import Model
from wsiseg.models.normalise import Segmenter
from wsiseg.models.quiet import quiet_torchscript
from wsiseg.profiling.results import Operator

TOP = 10
REPEATS = 3


def top_operators(
    choice: RuntimeChoice, model: Model, runtime: Runtime, image: NDArray[np.uint8], threads: int
) -> tuple[tuple[Operator, ...], str]:
    """Return the ten kinds that take most of the time of a few calls, and what they are."""
    if choice.name == "openvino":
        return rank(_openvino(choice, model, image, threads)), "OpenVINO, primitives by kind of layer"
    if choice.name == "onnxruntime":
        return (), "ONNX Runtime, not taken apart"
    times = _torch(runtime, image, choice.device)
    kernels = choice.device == "cuda"
    return rank(times), "CUDA kernels" if kernels else "torch operators, without what they call"


def rank(times: Iterable[tuple[str, float, int]]) -> tuple[Operator, ...]:
    """Return the ten names with most time; shares are of the time of all of them."""
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for name, time_s, count in times:
        seconds[name] += time_s
        calls[name] += count
    total = sum(seconds.values())
    if total <= 0:
        return ()
    first = sorted(seconds, key=lambda name: (-seconds[name], name))[:TOP]
    return tuple(
        Operator(name=name[:200], share=min(1.0, seconds[name] / total), calls=calls[name]) for name in first
    )


def _torch(runtime: Runtime, image: NDArray[np.uint8], device: str) -> list[tuple[str, float, int]]:
    activity = torch.profiler.ProfilerActivity
    on_gpu = device == "cuda"
    activities = [activity.CPU, activity.CUDA] if on_gpu else [activity.CPU]
    runtime.predict(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the profiler's own deprecations
        with torch.profiler.profile(activities=activities) as profiler:
            for _ in range(REPEATS):
                runtime.predict(image)
        events = profiler.key_averages()
    if on_gpu:
        return [
            (event.key, event.self_device_time_total / 1e6, event.count)
            for event in events
            if event.device_type.name == "CUDA"  # the others are the operators that launched them
        ]
    return [(event.key, event.self_cpu_time_total / 1e6, event.count) for event in events]


def _openvino(
    choice: RuntimeChoice, model: Model, image: NDArray[np.uint8], threads: int
) -> list[tuple[str, float, int]]:
    # Compiled once more: counting makes calls slower, so the timed runtime must not do it.
    import openvino

    with quiet_torchscript():
        example = torch.zeros(image.shape, dtype=torch.uint8)
        graph = openvino.convert_model(
            Segmenter(model).eval(), example_input=example, input=[list(image.shape)]
        )
    compiled = core().compile_model(
        graph,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[choice.precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERF_COUNT": "YES",
        },
    )
    request = compiled.create_infer_request()
    found: list[tuple[str, float, int]] = []
    request.infer([image])
    for _ in range(REPEATS):
        request.infer([image])
        found += [
            (f"{node.node_type} ({node.exec_type})", node.real_time.total_seconds(), 1)
            for node in request.get_profiling_info()
            if node.real_time.total_seconds() > 0
        ]
    return found
