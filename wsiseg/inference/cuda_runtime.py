"""Torch on a CUDA device: the whole network as one recorded CUDA graph, replayed tile by tile.

Each stream has its own graph and its own pinned buffers, so that one tile is copied while another is
computed. Source: PyTorch's notes on CUDA graphs (capture on a side stream, after a warm-up).
"""

from __future__ import annotations

import threading
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.inference.runtime import Prediction

if TYPE_CHECKING:
    from wsiseg.models import Model

WARM_UP_CALLS = 3
"""Before the capture, so that cuDNN has chosen its kernels and the allocator has its memory."""


class CudaRuntime:
    """A network in evaluation mode, channels last, in the precision asked for."""

    name = "torch"

    def __init__(
        self,
        model: Model,
        tile_shape: tuple[int, int],
        batch: int,
        precision: str,
        streams: int,
        *,
        confidence: bool = False,
    ) -> None:
        import torch

        from wsiseg.models.normalise import Segmenter

        self.precision = precision
        self.streams = max(1, streams)
        # Label agreement is promised for one record: no kernels that add in an order of their own.
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        segmenter = Segmenter(model, confidence=confidence).eval().to("cuda")
        segmenter = segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        shape = (batch, *tile_shape, 3)
        capture = threading.Lock()
        self._idle: LifoQueue[_Lane] = LifoQueue()
        for _ in range(self.streams):
            self._idle.put(_Lane(segmenter, shape, precision, capture))

    def predict(self, tiles: NDArray[np.uint8]) -> Prediction:
        """See `Runtime.predict`."""
        lane = self._idle.get()
        try:
            return Prediction(*lane(tiles))
        finally:
            self._idle.put(lane)


class _Lane:
    """One stream: pinned input, graph, pinned outputs."""

    def __init__(
        self, segmenter: Any, shape: tuple[int, ...], precision: str, capture: threading.Lock
    ) -> None:
        import torch

        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._sent = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._input = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)

        def run() -> tuple[Any, ...]:
            # Without the cache: casts of the weights must be part of the graph, not remembered from before.
            with torch.autocast("cuda", half, enabled=half is not None, cache_enabled=False):
                made = segmenter(self._input)
            return made if isinstance(made, tuple) else (made,)

        with capture, torch.inference_mode():
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_CALLS):
                    run()
            self._stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._outputs = run()
        self._received = tuple(
            torch.zeros(output.shape, dtype=output.dtype, pin_memory=True) for output in self._outputs
        )

    def __call__(self, tiles: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Return what the graph makes of tiles (N, rows, columns, 3) uint8."""
        import torch

        self._sent.numpy()[...] = tiles
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._input.copy_(self._sent, non_blocking=True)
            self._graph.replay()
            for received, output in zip(self._received, self._outputs, strict=True):
                received.copy_(output, non_blocking=True)
        self._stream.synchronize()
        return [received.numpy().copy() for received in self._received]
