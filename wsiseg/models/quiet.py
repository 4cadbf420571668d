"""The warnings of torch about TorchScript, which every way out of torch that is used here goes through."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning

_NAMED = (
    r"`torch\.jit\.\w+` is deprecated",
    r"You are using the legacy TorchScript-based ONNX export",
    # From the older ONNX exporter about a part of itself.
    r"The feature will be removed\. Please remove usage of this function",
)


@contextmanager
def quiet_torchscript() -> Iterator[None]:
    """Leave out these named deprecation warnings, and no others, while tracing, exporting or converting."""
    with warnings.catch_warnings():
        for message in _NAMED:
            warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        yield


@contextmanager
def traced_constants() -> Iterator[None]:
    """Leave out the tracer's warnings about values that become constants of a graph: here that is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)
        yield


def plain_size(x: Tensor) -> tuple[int, int]:
    """Return a map's (rows, columns) as plain numbers, also while it is traced."""
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return x.shape[-2], x.shape[-1]
    with traced_constants():
        return int(x.shape[-2]), int(x.shape[-1])
