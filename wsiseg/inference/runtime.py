"""Which program runs the network, in which precision: chosen once, recorded, and never mixed within a run."""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import UsageError, choose

if TYPE_CHECKING:
    from wsiseg.models import Model

RUNTIMES = ("openvino", "onnxruntime", "torch")
"""Those for the CPU, the fastest first; torch is also the one for CUDA."""
PRECISIONS = ("bf16", "fp16", "fp32")
DEVICES = ("auto", "cpu", "cuda")
CPUS_VARIABLE = "WSISEG_CPUS"
"""Environment variable: CPUs of this process, where several share a machine."""
FIXED_THREADS = 2
"""Of a call, where the last bits of its sums depend on their number: the same on every machine."""
HOW_TO_INSTALL = {
    "openvino": "pip install openvino",
    "onnxruntime": "pip install 'wsiseg[export]'",
    "torch": "pip install torch",
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of a batch of tiles."""

    labels: NDArray[np.uint8]
    """(N, rows, columns) class ids."""
    confidence: NDArray[np.uint8] | None = None
    """(N, rows, columns), see `wsiseg.confidence`; None where it was not asked for."""


class Runtime(Protocol):
    """A network that is ready to be called, from several threads at once."""

    name: str
    precision: str
    streams: int
    """Calls that run at once; more wait for their turn."""

    def predict(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Return the labels of RGB tiles (N, rows, columns, 3) uint8 of the shape that this was built for."""
        ...


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """What was chosen, as it goes into the run record."""

    name: str
    precision: str
    device: str
    version: str
    threads: int | None = None
    """CPUs of a call, where the last bits of its sums depend on it; None where they do not."""


def choose_runtime(name: str = "auto", precision: str = "auto", device: str = "auto") -> RuntimeChoice:
    """Settle on a runtime, a precision and a device for this machine.

    `auto` takes the GPU where torch sees one, else the first of RUNTIMES that is installed; and half
    precision where the processor computes in it. Raises UsageError for a combination that cannot run here.
    """
    for what, value, valid in (
        ("runtime", name, ("auto", *RUNTIMES)),
        ("precision", precision, ("auto", *PRECISIONS)),
        ("device", device, DEVICES),
    ):
        if value not in valid:
            raise UsageError(choose(what, value, valid))
    if device == "auto":
        device = "cuda" if name in ("auto", "torch") and _cuda() else "cpu"
    elif device == "cuda" and not _cuda():
        raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu")
    if name == "auto":
        name = "torch" if device == "cuda" else next(name for name in RUNTIMES if find_spec(name))
    if device == "cuda" and name != "torch":
        raise UsageError(f"--runtime {name} runs on the CPU; use --runtime torch with --device cuda")
    if not find_spec(name):
        raise UsageError(f"--runtime {name}: not installed; {HOW_TO_INSTALL[name]}, or use --runtime torch")
    native, version = _abilities(name, device)
    if precision == "auto":
        precision = native[0]
    elif precision not in native:
        raise UsageError(
            f"--precision {precision}: {name} on this {device} computes in {' or '.join(native)}; "
            f"use one of them"
        )
    fixed = FIXED_THREADS if device == "cpu" and name != "openvino" else None
    return RuntimeChoice(name, precision, device, version, fixed)


def _abilities(name: str, device: str) -> tuple[tuple[str, ...], str]:
    """Return the precisions that a runtime computes in here, the fastest first, and its version."""
    if name == "openvino":
        from wsiseg.inference import openvino_runtime

        return ("bf16", "fp32") if openvino_runtime.has_bf16() else ("fp32",), openvino_runtime.version()
    if name == "onnxruntime":
        from wsiseg.inference import onnx_runtime

        return ("fp32",), onnx_runtime.version()
    import torch

    version = str(torch.__version__)
    if device == "cuda":
        return ("bf16", "fp16", "fp32") if torch.cuda.is_bf16_supported() else ("fp16", "fp32"), version
    return ("bf16", "fp32") if _torch_bf16() else ("fp32",), version


def build_runtime(
    choice: RuntimeChoice,
    model: Model,
    tile_shape: tuple[int, int],
    batch: int = 1,
    threads: int | None = None,
    streams: int = 1,
    *,
    confidence: bool = False,
) -> Runtime:
    """Build the chosen runtime for inputs of (batch, *tile_shape, 3).

    `streams` calls run at once where the runtime can, and share `threads` CPUs; neither moves a byte
    unless the choice says so (`RuntimeChoice.threads`).
    """
    threads = threads or choice.threads or usable_cpus()
    if choice.name == "openvino":
        from wsiseg.inference.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(
            model, tile_shape, batch, choice.precision, threads, streams, confidence=confidence
        )
    if choice.name == "onnxruntime":
        from wsiseg.inference.onnx_runtime import OnnxRuntime

        return OnnxRuntime(model, tile_shape, batch, threads, streams, confidence=confidence)
    if choice.device == "cuda":
        from wsiseg.inference.cuda_runtime import CudaRuntime

        return CudaRuntime(model, tile_shape, batch, choice.precision, streams, confidence=confidence)
    from wsiseg.inference.torch_runtime import TorchRuntime

    return TorchRuntime(model, choice.precision, threads, confidence=confidence)


class RuntimeKeeper:
    """Keeps the runtime that was built last: the next slide of a batch mostly needs the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[object, ...] | None = None
        self._runtime: Runtime | None = None

    def get(
        self,
        choice: RuntimeChoice,
        model: Model,
        tile_shape: tuple[int, int],
        streams: int,
        *,
        confidence: bool,
    ) -> Runtime:
        """Return the runtime for all this, built where the kept one is another."""
        key = (choice, model.digest(), tile_shape, streams, confidence, usable_cpus())
        with self._lock:
            if self._runtime is None or self._key != key:
                self._key = self._runtime = None  # before the next is built: both need memory
                self._runtime = build_runtime(
                    choice, model, tile_shape, streams=streams, confidence=confidence
                )
                self._key = key
            return self._runtime


KEEPER = RuntimeKeeper()
"""Of this process."""


def usable_cpus() -> int:
    """Return how many CPUs this process may use; CPUS_VARIABLE in the environment gives it fewer."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get(CPUS_VARIABLE, "")
    return min(count, int(given)) if given.isdecimal() and int(given) else count


def _cuda() -> bool:
    """Return whether torch sees a GPU; it is asked, which takes a second, where there is a driver."""
    if not _has_gpu_driver():
        return False
    import torch

    return bool(torch.cuda.is_available())


def _has_gpu_driver() -> bool:
    """Return whether there is CUDA's driver, or AMD's, which torch calls by the same name."""
    if Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _torch_bf16() -> bool:
    import torch

    # Not registered where torch was built without oneDNN.
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())
