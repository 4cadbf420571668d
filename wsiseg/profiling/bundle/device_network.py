"""A network as TensorRT 8.2 takes it: float pixels in, int32 ids out, operators of opset 13 that it knows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsiseg.errors import ModelRefusedError
from wsiseg.models import Model
from wsiseg.models.export import onnx_bytes, run_onnx, run_torchscript, torchscript_bytes
from wsiseg.models.normalise import Segmenter

OPSET = 13
MIN_AGREEMENT = 0.999
TENSORRT_OPERATORS = frozenset(
    (
        *("Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Concat", "Constant", "Conv"),
        *(
            "ConvTranspose",
            "Div",
            "Equal",
            "Gather",
            "Identity",
            "MaxPool",
            "Mul",
            "PRelu",
            "Relu",
            "Reshape",
        ),
        *("Resize", "Shape", "Slice", "Sub", "Transpose", "Unsqueeze"),
    )
)
"""Of the operators that its documentation lists, those that the networks here need; it knows no unpooling.

Source: docs/operators.md of onnx-tensorrt, branch of TensorRT 8: opset 13; FLOAT, HALF, INT8, INT32 and BOOL,
so no uint8 pixels; INT64 is cast down to INT32.
"""


class DeviceNetwork(nn.Module):
    """float32 (1, 3, H, W) RGB, 0 to 255 -> int32 (1, H, W) class ids."""

    table: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.segmenter = Segmenter(model)
        self.identity = self.segmenter.identity
        self.register_buffer("table", self.segmenter.table.to(torch.int32))

    def forward(self, image: Tensor) -> Tensor:
        """Return the ids of the classes with the highest logits."""
        winner = self.segmenter.logits(image.permute(0, 2, 3, 1)).argmax(dim=1)
        return winner.to(torch.int32) if self.identity else self.table[winner]


def device_image(width_px: int, height_px: int) -> NDArray[np.float32]:
    """Return the seeded image that a bundle carries, (1, 3, height, width) RGB, whole numbers from 0 to 255.

    Smooth blotches and a little noise, so that labels form areas as in a picture.
    """
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, max(2, height_px // 64), max(2, width_px // 64))))
    smooth = nn.functional.interpolate(coarse, (height_px, width_px), mode="bicubic").numpy()
    noisy = smooth + random.normal(0, 8, smooth.shape)
    return np.ascontiguousarray(np.clip(np.rint(noisy), 0, 255).astype(np.float32))


def export_for_device(model: Model, image: NDArray[np.float32]) -> tuple[bytes, bytes, NDArray[np.uint8]]:
    """Return the network as ONNX and as TorchScript, and its own labels for the image, uint8 (H, W).

    Raises ModelRefusedError where a file would need what TensorRT 8.2 does not know, or where its labels are
    not the network's own (more than 1 in 1,000 differ).
    """
    network = DeviceNetwork(model).eval()
    example = torch.from_numpy(image)
    with torch.no_grad():
        expected = network(example).numpy()
    onnx_file = onnx_bytes(network, example, OPSET, model.card)
    check_for_tensorrt(onnx_file, model.card.name)
    script_file = torchscript_bytes(network, example, model.card)
    answers = {"ONNX": run_onnx(onnx_file, image), "TorchScript": run_torchscript(script_file, example)}
    for kind, found in answers.items():
        agreement = float((found == expected).mean())
        if agreement < MIN_AGREEMENT:
            raise ModelRefusedError(
                f"{model.card.name}: only {agreement:.2%} of the labels of its {kind} file are its own"
            )
    return onnx_file, script_file, expected[0].astype(np.uint8)


def check_for_tensorrt(data: bytes, name: str) -> None:
    """Raise ModelRefusedError for an ONNX file that TensorRT 8.2 would not take, by its documentation."""
    import onnx

    graph = onnx.load_model_from_string(data)
    opset = max(item.version for item in graph.opset_import)
    unknown = {node.op_type for node in graph.graph.node} - TENSORRT_OPERATORS
    types = {item.type.tensor_type.elem_type for item in (*graph.graph.input, *graph.graph.output)}
    if opset > OPSET or unknown or types - {onnx.TensorProto.FLOAT, onnx.TensorProto.INT32}:
        raise ModelRefusedError(
            f"{name}: its ONNX file has opset {opset}, new operators {', '.join(sorted(unknown)) or 'none'}, "
            f"tensor types {sorted(types)}: TensorRT 8.2 takes opset {OPSET}, float and int32"
        )
