"""Which program runs the network, in which precision: chosen once, recorded, and never mixed within a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import UsageError, choose

if TYPE_CHECKING:
    from wsiseg.models import Model

RUNTIMES = ("openvino", "torch")
PRECISIONS = ("bf16", "fp32")
DEVICES = ("auto", "cpu", "cuda")
CPUS_VARIABLE = "WSISEG_CPUS"
"""Environment variable: CPUs of this process, where several share a machine."""


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


def choose_runtime(name: str = "auto", precision: str = "auto", device: str = "auto") -> RuntimeChoice:
    """Settle on a runtime, a precision and a device for this machine.

    `auto` takes the GPU where torch sees one, else OpenVINO where it is installed, else torch; and
    bfloat16 where the processor computes in it. Raises UsageError for a combination that cannot run here.
    """
    for what, value, valid in (
        ("runtime", name, ("auto", *RUNTIMES)),
        ("precision", precision, ("auto", *PRECISIONS)),
        ("device", device, DEVICES),
    ):
        if value not in valid:
            raise UsageError(choose(what, value, valid))
    if device == "auto":
        device = "cuda" if name != "openvino" and _cuda() else "cpu"
    elif device == "cuda" and not _cuda():
        raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu")
    if name == "auto":
        name = "openvino" if device == "cpu" and find_spec("openvino") else "torch"
    if name == "openvino":
        if device == "cuda":
            raise UsageError("--runtime openvino runs on the CPU; use --runtime torch with --device cuda")
        if not find_spec("openvino"):
            raise UsageError(
                "--runtime openvino: not installed; pip install openvino, or use --runtime torch"
            )
        from wsiseg.inference import openvino_runtime as home

        native = home.has_bf16()
        version = home.version()
    else:
        import torch

        native = device == "cuda" or _torch_bf16()
        version = str(torch.__version__)
    if precision == "auto":
        precision = "bf16" if native else "fp32"
    elif precision == "bf16" and not native:
        raise UsageError("--precision bf16: this machine does not compute in bfloat16; use --precision fp32")
    return RuntimeChoice(name, precision, device, version)


def build_runtime(
    choice: RuntimeChoice,
    model: Model,
    tile_shape: tuple[int, int],
    batch: int = 1,
    threads: int | None = None,
    *,
    confidence: bool = False,
) -> Runtime:
    """Build the chosen runtime for inputs of (batch, *tile_shape, 3); a call uses at most `threads` CPUs."""
    threads = threads or usable_cpus()
    if choice.name == "openvino":
        from wsiseg.inference.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(model, tile_shape, batch, choice.precision, threads, confidence=confidence)
    from wsiseg.inference.torch_runtime import TorchRuntime

    return TorchRuntime(model, choice.precision, choice.device, threads, confidence=confidence)


def usable_cpus() -> int:
    """Return how many CPUs this process may use; CPUS_VARIABLE in the environment gives it fewer."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get(CPUS_VARIABLE, "")
    return min(count, int(given)) if given.isdecimal() and int(given) else count


def _cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _torch_bf16() -> bool:
    import torch

    # Not registered where torch was built without oneDNN.
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())
