"""The warnings of torch about TorchScript, which every way out of torch that is used here goes through."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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
