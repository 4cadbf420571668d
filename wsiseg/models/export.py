"""Networks in other people's formats, whole: uint8 RGB pixels in, uint8 class ids out, the card inside.

Input `image` uint8 (N, H, W, 3), output `labels` uint8 (N, H, W); the shape is fixed, which every runtime
optimises best.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wsiseg.errors import ModelRefusedError, UsageError, choose
from wsiseg.models.card import ModelCard, parse_card
from wsiseg.models.checkpoint import write_atomically
from wsiseg.models.files import CARD_KEY
from wsiseg.models.model import Model
from wsiseg.models.normalise import Segmenter
from wsiseg.models.quiet import quiet_torchscript

Format = Literal["onnx", "torchscript"]
FORMATS: tuple[Format, ...] = ("onnx", "torchscript")
DEFAULT_OPSET = 17
OPSET_MIN, OPSET_MAX = 13, 18
"""What the exporter used here can write and both runtimes can read."""
SCRIPT_CARD = f"{CARD_KEY}.json"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    format: str
    opset: int | None
    """Read back from the file; None for TorchScript."""
    shape: tuple[int, int, int, int]
    """(N, H, W, 3) of the input."""
    size_bytes: int
    agreement: float
    """Share of equal labels against the network itself, on seeded random pixels."""


def export_model(
    model: Model,
    path: Path,
    *,
    format: str,  # noqa: A002
    opset: int | None = None,
    width_px: int = 512,
    height_px: int = 512,
    batch: int = 1,
) -> Exported:
    """Write the model, whole or not at all, after running what is to be written and comparing the labels.

    Raises UsageError for a format, opset or size that cannot be, ModelRefusedError where the written
    network does not give the network's own labels (more than 1 in 1,000 differ).
    """
    if format not in FORMATS:
        raise UsageError(choose("export format", format, FORMATS))
    if format != "onnx" and opset is not None:
        raise UsageError(f"--opset is for onnx, but the format is {format}: leave it out")
    opset = DEFAULT_OPSET if opset is None else opset
    if not OPSET_MIN <= opset <= OPSET_MAX:
        raise UsageError(f"opset {opset} cannot be written: expected {OPSET_MIN} to {OPSET_MAX}")
    step = model.input_multiple
    if width_px <= 0 or height_px <= 0 or batch <= 0 or width_px % step or height_px % step:
        raise UsageError(
            f"size {width_px} x {height_px}, batch {batch}: both sides must be positive multiples of {step}"
        )
    if not path.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist; create it first")
    segmenter = Segmenter(model).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (batch, height_px, width_px, 3), dtype=np.uint8)
    example = torch.from_numpy(pixels)
    with torch.no_grad():
        expected = segmenter(example).numpy()
    if format == "onnx":
        data = onnx_bytes(segmenter, example, opset, model.card)
        found = run_onnx(data, pixels)
    else:
        data = torchscript_bytes(segmenter, example, model.card)
        found = run_torchscript(data, example)
    agreement = float((found == expected).mean())
    if agreement < 0.999:
        raise ModelRefusedError(
            f"{path.name}: only {agreement:.2%} of its labels equal the network's own; nothing was written"
        )
    write_atomically(path, data)
    return Exported(
        path=path,
        format=format,
        opset=opset if format == "onnx" else None,
        shape=(batch, height_px, width_px, 3),
        size_bytes=len(data),
        agreement=agreement,
    )


def exported_card(path: Path) -> ModelCard:
    """Return the card inside of an exported .onnx or TorchScript file. Raises ModelRefusedError without."""
    if path.suffix == ".onnx":
        onnx = _import_onnx()
        found = {item.key: item.value for item in onnx.load(str(path)).metadata_props}
        text: str | bytes = found.get(CARD_KEY, "")
    else:
        extra = {SCRIPT_CARD: ""}
        with quiet_torchscript():
            torch.jit.load(str(path), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        text = extra[SCRIPT_CARD]
    if not text:
        raise ModelRefusedError(f"{path.name}: has no wsiseg card inside")
    return parse_card(text, path.name)


def onnx_graph(model: Model, shape: tuple[int, ...], *, confidence: bool = False) -> bytes:
    """Return an ONNX file, for inputs of one shape (N, rows, columns, 3), to be run here and now.

    Outputs `labels` and, where asked for, `confidence`. Raises UsageError where onnx is not installed.
    """
    segmenter = Segmenter(model, confidence=confidence).eval()
    outputs = ("labels", "confidence") if confidence else ("labels",)
    example = torch.zeros(shape, dtype=torch.uint8)
    return onnx_bytes(segmenter, example, DEFAULT_OPSET, model.card, outputs)


def onnx_bytes(
    module: nn.Module,
    example: torch.Tensor,
    opset: int,
    card: ModelCard,
    outputs: tuple[str, ...] = ("labels",),
) -> bytes:
    """Return a module as ONNX, `image` to `labels`. Raises ModelRefusedError for another opset than asked."""
    onnx = _import_onnx()
    buffer = io.BytesIO()
    with quiet_torchscript():
        # dynamo=False on purpose: the newer exporter writes opset 18 whatever is asked for.
        torch.onnx.export(
            module,
            (example,),
            buffer,  # type: ignore[arg-type]  # the older exporter takes a file; the stub knows only paths
            input_names=["image"],
            output_names=list(outputs),
            opset_version=opset,
            dynamo=False,
        )
    graph = onnx.load_model_from_string(buffer.getvalue())
    written = {item.domain: item.version for item in graph.opset_import}.get("", 0)
    if written != opset:
        raise ModelRefusedError(
            f"the exporter wrote opset {written}, but {opset} was asked for; nothing was written"
        )
    entry = graph.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.model_dump_json()
    onnx.checker.check_model(graph)
    data: bytes = graph.SerializeToString()
    return data


def torchscript_bytes(module: nn.Module, example: torch.Tensor, card: ModelCard) -> bytes:
    """Return a module traced as TorchScript, the card beside it."""
    buffer = io.BytesIO()
    with quiet_torchscript(), torch.no_grad():
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer, _extra_files={SCRIPT_CARD: card.model_dump_json().encode()})
    return buffer.getvalue()


def run_onnx(data: bytes, image: NDArray[Any]) -> NDArray[Any]:
    """Return the `labels` that ONNX Runtime gives for an `image`. Raises UsageError where it is missing."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "exports are checked with onnxruntime before they are written: pip install 'wsiseg[export]'"
        ) from error
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


def run_torchscript(data: bytes, example: torch.Tensor) -> NDArray[Any]:
    """Return the labels that the file gives, read again as any other program would."""
    with quiet_torchscript(), torch.no_grad():
        loaded = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
        return np.asarray(loaded(example).numpy())


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise UsageError("ONNX export needs the onnx package: pip install 'wsiseg[export]'") from error
    return onnx
