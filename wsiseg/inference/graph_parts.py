"""Parts of an OpenVINO graph, made of a network's tensors. Maps are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import opset13 as ops

from wsiseg.models.espnet_layout import BN_EPS

VECTOR = 16
"""Channels that are computed together; a map of 131 is slower than one of 144."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """The tensors of a module, by their names in it."""

    tensors: Mapping[str, NDArray[np.generic]]
    """Of the whole network."""
    prefix: str = ""

    def __truediv__(self, name: str | int) -> Part:
        """Return a module in this one."""
        return Part(self.tensors, f"{self.prefix}{name}.")

    def __contains__(self, name: str) -> bool:
        return f"{self.prefix}{name}" in self.tensors

    def __getitem__(self, name: str) -> Array:
        """Return a tensor in double precision: what is folded is rounded once."""
        return np.asarray(self.tensors[f"{self.prefix}{name}"], np.float64)

    @property
    def weight(self) -> Array:
        """The tensor of that name."""
        return self["weight"]


def weighted(channels: list[Any], weights: Array) -> Any:
    """Return the sum of planes, each times its weight."""
    total = None
    for channel, weight in zip(channels, weights, strict=True):
        part = ops.multiply(channel, constant(np.full((1, 1, 1), weight)))
        total = part if total is None else ops.add(total, part)
    return total


def doubled(x: Any, weight: Array, shift: Array, slope: Array | None = None) -> Any:
    """Return a map up-sampled by weights (in, out, 2, 2); shift and slope for each of (2, 2, out)."""
    flat = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight), 1, 1)
    made = ops.convolution(x, constant(flat), [1, 1], [0, 0], [0, 0], [1, 1])
    made = ops.add(made, per_channel(shift))
    return ops.depth_to_space(made if slope is None else prelu(made, slope), "blocks_first", 2)


def convolution(x: Any, weight: Array, *, stride: int = 1, dilation: int = 1) -> Any:
    """Return a convolution that keeps the size (divided by the stride)."""
    sides = [dilation * (kernel - 1) // 2 for kernel in weight.shape[2:]]
    return ops.convolution(x, constant(weight), [stride] * 2, sides, sides, [dilation] * 2)


def scaled(x: Any, scale: Array, shift: Array, slope: Array) -> Any:
    """Return a map after a normalisation and its activation."""
    return prelu(ops.add(ops.multiply(x, per_channel(scale)), per_channel(shift)), slope)


def prelu(x: Any, slope: Array) -> Any:
    """Return a map where values below zero are multiplied by a slope per channel."""
    return ops.prelu(x, constant(slope))


def norm_act(part: Part) -> tuple[Array, Array, Array]:
    """Return scale, shift and slope of a normalisation and its activation."""
    scale, shift = fold(part / "bn")
    return scale, shift, part["act.weight"] if "act.weight" in part else np.zeros_like(scale)


def fold(norm: Part) -> tuple[Array, Array]:
    """Return scale and shift of a normalisation in evaluation mode."""
    scale = norm.weight / np.sqrt(norm["running_var"] + BN_EPS)
    return scale, norm["bias"] - norm["running_mean"] * scale


def widened(weight: Array, used: Sequence[int], total: int) -> Array:
    """Return a convolution's weights for a map of `total` channels, of which it takes those `used`."""
    made = np.zeros((weight.shape[0], total, *weight.shape[2:]))
    made[:, list(used)] = weight
    return made


def placed(values: Array, used: Sequence[int], total: int, rest: float = 0.0) -> Array:
    """Return a value for each of `total` channels: those given for the channels `used`, and `rest`."""
    made = np.full(total, rest)
    made[list(used)] = values
    return made


def filled(channels: int) -> int:
    """Return channels, filled up to whole vectors."""
    return -(-channels // VECTOR) * VECTOR


def per_channel(values: Array) -> Any:
    """Return a constant (1, C, 1, 1)."""
    return constant(values.reshape(1, -1, 1, 1))


def constant(values: Array) -> Any:
    """Return a constant in fp32."""
    return ops.constant(np.ascontiguousarray(values, np.float32))
