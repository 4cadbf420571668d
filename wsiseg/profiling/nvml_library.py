"""The few calls of NVML that are used here, with None where a GPU does not support one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsiseg.profiling.results import Missing


class Nvml:
    """An open NVML library and the handles of its GPUs."""

    def __init__(self, library: Any) -> None:
        self._library = library
        count = library.nvmlDeviceGetCount()
        self.handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]

    def name(self, handle: Any) -> str:
        """Return the GPU's name."""
        name = self._library.nvmlDeviceGetName(handle)
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name)

    def power_w(self, handle: Any) -> float | None:
        """Return the momentary power."""
        value = self._ask(self._library.nvmlDeviceGetPowerUsage, handle)
        return None if value is None else float(value) / 1000

    def energy_j(self, handle: Any) -> float | None:
        """Return the energy used since the driver was loaded."""
        value = self._ask(self._library.nvmlDeviceGetTotalEnergyConsumption, handle)
        return None if value is None else float(value) / 1000

    def utilisation(self, handle: Any) -> float | None:
        """Return the share of the last sample period in which a kernel ran, 0 to 1."""
        value = self._ask(self._library.nvmlDeviceGetUtilizationRates, handle)
        return None if value is None else float(value.gpu) / 100

    def memory_share(self, handle: Any) -> float | None:
        """Return the share of the GPU's memory that is in use, 0 to 1."""
        value = self._ask(self._library.nvmlDeviceGetMemoryInfo, handle)
        return None if value is None else float(value.used) / float(value.total)

    def clock_mhz(self, handle: Any) -> float | None:
        """Return the clock of the multiprocessors now."""
        value = self._ask(self._library.nvmlDeviceGetClockInfo, handle, self._library.NVML_CLOCK_SM)
        return None if value is None else float(value)

    def allowed_mhz(self, handle: Any) -> list[float]:
        """Return the graphics clocks that the GPU supports at its fastest memory clock, ascending."""
        memory = self._ask(self._library.nvmlDeviceGetSupportedMemoryClocks, handle)
        if not memory:
            return []
        clocks = self._ask(self._library.nvmlDeviceGetSupportedGraphicsClocks, handle, max(memory))
        return sorted(float(clock) for clock in clocks or [])

    def lock_clock(self, handle: Any, mhz: float) -> None:
        """Fix the graphics clock. Raises PermissionError or OSError."""
        self._change(self._library.nvmlDeviceSetGpuLockedClocks, handle, round(mhz), round(mhz))

    def unlock_clock(self, handle: Any) -> None:
        """Let the GPU choose its clock again. Raises PermissionError or OSError."""
        self._change(self._library.nvmlDeviceResetGpuLockedClocks, handle)

    def close(self) -> None:
        """Shut the library down."""
        self._library.nvmlShutdown()

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._library.NVMLError:
            return None

    def _change(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
        except self._library.NVMLError as error:
            if getattr(error, "value", None) == self._library.NVML_ERROR_NO_PERMISSION:
                raise PermissionError(f"NVML: {error}") from error
            raise OSError(f"NVML: {error}") from error


def open_nvml() -> Nvml | Missing:
    """Return NVML, or why it does not answer."""
    try:
        import pynvml as library
    except ImportError:
        return Missing(
            what="NVML",
            reason="the package nvidia-ml-py is not installed",
            remedy="pip install 'wsiseg[gpu]' where there is an NVIDIA GPU",
        )
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        return Missing(
            what="NVML",
            reason=f"the NVIDIA driver does not answer: {error}",
            remedy="run where there is an NVIDIA GPU and its driver",
        )
    nvml = Nvml(library)
    if not nvml.handles:
        nvml.close()
        return Missing(
            what="NVML", reason="the driver sees no GPU", remedy="run where there is an NVIDIA GPU"
        )
    return nvml
