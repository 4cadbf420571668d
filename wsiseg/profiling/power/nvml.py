"""NVML: power of NVIDIA desktop and server GPUs, through nvidia-ml-py.

Volta and later count energy; older ones say the momentary power, averaged by the driver over up to a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsiseg.profiling.nvml_library import Nvml, open_nvml
from wsiseg.profiling.results import Missing

NAME = "NVML"


@dataclass
class _Gpu:
    rail: str
    handle: Any
    counts_energy: bool
    last: tuple[float, float] | None = None
    """Seconds and joules."""


class NvmlSource:
    """The power of every GPU, board included."""

    name = NAME

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._gpus = [
            _Gpu(f"GPU {index} {nvml.name(handle)}", handle, nvml.energy_j(handle) is not None)
            for index, handle in enumerate(nvml.handles)
        ]
        self.whole = frozenset(gpu.rail for gpu in self._gpus)

    def read(self, now_s: float) -> dict[str, float]:
        """Return the power of each GPU in W: the mean since the last call where energy is counted."""
        found: dict[str, float] = {}
        for gpu in self._gpus:
            if not gpu.counts_energy:
                watts = self._nvml.power_w(gpu.handle)
                if watts is not None:
                    found[gpu.rail] = watts
                continue
            energy = self._nvml.energy_j(gpu.handle)
            if energy is None:
                continue
            before, gpu.last = gpu.last, (now_s, energy)
            if before is not None and now_s > before[0] and energy >= before[1]:
                found[gpu.rail] = (energy - before[1]) / (now_s - before[0])
        return found

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.close()


def find() -> NvmlSource | Missing:
    """Return the GPUs, or why there are none to ask."""
    nvml = open_nvml()
    if isinstance(nvml, Missing):
        return nvml.model_copy(update={"what": f"power: {NAME}"})
    if all(nvml.energy_j(handle) is None and nvml.power_w(handle) is None for handle in nvml.handles):
        nvml.close()
        return Missing(
            what="power: NVML",
            reason="no GPU here says its power",
            remedy="none: this GPU or its driver has no power sensor",
        )
    return NvmlSource(nvml)
