"""OpenVINO on the CPU: normalisation, network, argmax and ids in one graph, bytes in and bytes out.

ESPNet is written out (`espnet_graph`); another network is converted from the torch module itself: with an
ONNX file in between it ran slower. Another way into the graph changes labels (in bfloat16,
one in some hundreds), so this way is part of what a run record fixes.
"""

from __future__ import annotations

from functools import cache
from queue import LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import WsisegError
from wsiseg.inference.runtime import Prediction

if TYPE_CHECKING:
    from wsiseg.models import Model

TRACE_PX = 256

_making = Lock()


class OpenVinoRuntime:
    """A network compiled for one input shape; its streams share the weights, and the threads between them."""

    name = "openvino"

    def __init__(
        self,
        model: Model,
        tile_shape: tuple[int, int],
        batch: int,
        precision: str,
        threads: int,
        streams: int = 1,
        *,
        confidence: bool = False,
    ) -> None:
        self.precision = precision
        self.streams = max(1, min(streams, threads))
        graph = graph_of(model, (batch, *tile_shape, 3), confidence=confidence)
        compiled = core().compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": self.streams,
            },
        )
        # One request per stream, the last one used first: its activations are still in the cache.
        self._idle: LifoQueue[Any] = LifoQueue()
        for _ in range(self.streams):
            self._idle.put(compiled.create_infer_request())
        self._outputs = range(len(graph.outputs))

    def predict(self, tiles: NDArray[np.uint8]) -> Prediction:
        """See `Runtime.predict`."""
        request = self._idle.get()
        try:
            request.infer([np.ascontiguousarray(tiles)], share_inputs=True)
            made = [request.get_output_tensor(index).data.copy() for index in self._outputs]
        finally:
            self._idle.put(request)
        return Prediction(*made)


def graph_of(model: Model, shape: tuple[int, ...], *, confidence: bool = False) -> Any:
    """Return the fastest graph that is known of a model, for inputs of one shape (N, rows, columns, 3)."""
    from wsiseg.inference.espnet_graph import can_write, espnet_graph

    make = espnet_graph if can_write(model) else convert
    return make(model, shape, confidence=confidence)


def convert(model: Model, shape: tuple[int, ...], *, confidence: bool = False) -> Any:
    """Return the graph of a model as OpenVINO converts it, for inputs of one shape (N, rows, columns, 3)."""
    import openvino
    import torch

    from wsiseg.models.card import shrink_of
    from wsiseg.models.normalise import Segmenter
    from wsiseg.models.quiet import quiet_torchscript

    segmenter = Segmenter(model, confidence=confidence).eval()
    # Tracing runs the module once: on a small picture, or its activations would be the run's peak memory.
    step = model.input_multiple * shrink_of(model.card)
    small = (1, *(min(side, TRACE_PX // step * step or side) for side in shape[1:3]), 3)
    if getattr(model.network, "graph_has_sizes", False):
        small = (1, *shape[1:])
    with quiet_torchscript():
        example = torch.zeros(small, dtype=torch.uint8)
        graph = openvino.convert_model(segmenter, example_input=example, input=[(-1, -1, -1, 3)])
    graph.reshape(list(shape))
    for output in graph.outputs:
        made = tuple(output.get_partial_shape().to_shape())
        if made != shape[:3]:
            raise WsisegError(
                f"OpenVINO made an output of {made} from an input of {shape}: use --runtime torch"
            )
    return graph


def core() -> Any:
    """Return the process's one Core, which lives until its end.

    The CPU plug-in of each Core gives the thread that makes it a stack for signals, and puts back the one it
    found when it goes. Where an older Core went before a younger one, that one is freed memory, and
    the next Ctrl-C or ended child is a segmentation fault.
    """
    with _making:
        return _core()


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def version() -> str:
    """Return OpenVINO's version."""
    import openvino

    return str(openvino.__version__)


def has_bf16() -> bool:
    """Return whether the processor computes in bfloat16 itself."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
