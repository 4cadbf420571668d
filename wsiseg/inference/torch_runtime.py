"""Torch itself, on the CPU: the reference that the other runtimes are compared with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsiseg.inference.runtime import Prediction

if TYPE_CHECKING:
    from wsiseg.models import Model


class TorchRuntime:
    """A network in evaluation mode, channels last; calls take turns, so a tile's result is repeatable."""

    name = "torch"
    streams = 1

    def __init__(self, model: Model, precision: str, threads: int, *, confidence: bool = False) -> None:
        import torch

        from wsiseg.models.normalise import Segmenter

        self.precision = precision
        self._threads = threads
        segmenter = Segmenter(model, confidence=confidence).eval()
        # torch's stubs leave memory_format out
        self._segmenter = segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._turn = threading.Lock()

    def predict(self, tiles: NDArray[np.uint8]) -> Prediction:
        """See `Runtime.predict`."""
        import torch

        with (
            self._turn,
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            if torch.get_num_threads() != self._threads:
                torch.set_num_threads(self._threads)
            made = self._segmenter(torch.from_numpy(np.ascontiguousarray(tiles)))
            parts = made if isinstance(made, tuple) else (made,)
            return Prediction(*(part.numpy() for part in parts))
