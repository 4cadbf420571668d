"""ONNX Runtime on the CPU, in fp32: where there is no OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsiseg.inference.runtime import Prediction

if TYPE_CHECKING:
    from wsiseg.models import Model


class OnnxRuntime:
    """A session over the exported graph, of one input shape; calls run side by side and share the CPUs."""

    name = "onnxruntime"
    precision = "fp32"

    def __init__(
        self,
        model: Model,
        tile_shape: tuple[int, int],
        batch: int,
        threads: int,
        streams: int,
        *,
        confidence: bool = False,
    ) -> None:
        import onnxruntime

        from wsiseg.models.export import onnx_graph

        self.streams = max(1, streams)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Waiting threads would burn the CPU that reads the next tile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            onnx_graph(model, (batch, *tile_shape, 3), confidence=confidence),
            options,
            providers=["CPUExecutionProvider"],
        )

    def predict(self, tiles: NDArray[np.uint8]) -> Prediction:
        """See `Runtime.predict`."""
        return Prediction(*self._session.run(None, {"image": np.ascontiguousarray(tiles)}))


def version() -> str:
    """Return ONNX Runtime's version."""
    import onnxruntime

    return str(onnxruntime.__version__)
