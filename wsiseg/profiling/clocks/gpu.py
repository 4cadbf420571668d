"""The GPU whose clock this machine lets us read, and perhaps set: Tegra's devfreq, or NVML."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from wsiseg.profiling.nvml_library import Nvml, open_nvml
from wsiseg.profiling.power.source import ROOT, read_number, read_text
from wsiseg.profiling.results import Missing

_DEVFREQ = ("sys/devices/*/devfreq/*", "sys/devices/platform/*/devfreq/*", "sys/class/devfreq/*")
_GPU_NAMES = ("gp10b", "gm20b", "gv11b", "ga10b", "gb10b", ".gpu", "gpu.0")


class GpuClock(Protocol):
    """A GPU clock."""

    name: str

    def current_mhz(self) -> float | None:
        """Return the clock now; None where it is not said."""
        ...

    def allowed_mhz(self) -> list[float]:
        """Return the clocks that can be chosen, ascending."""
        ...

    def state(self) -> dict[str, str]:
        """Return all that `restore` needs."""
        ...

    def lock(self, mhz: float) -> None:
        """Fix the clock to one of the allowed ones. Raises OSError."""
        ...

    def restore(self, state: dict[str, str]) -> None:
        """Put back what `state` said. Raises OSError."""
        ...


class DevfreqClock:
    """A Tegra GPU: the limits min_freq and max_freq, in Hz, both set to one value."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"devfreq {folder.name}"

    def current_mhz(self) -> float | None:
        """Return the clock now."""
        return read_number(self.folder / "cur_freq") / 1e6

    def allowed_mhz(self) -> list[float]:
        """Return the clocks of the driver's table."""
        words = read_text(self.folder / "available_frequencies").split()
        return sorted(int(word) / 1e6 for word in words if word.isdecimal())

    def state(self) -> dict[str, str]:
        """Return both limits."""
        return {name: read_text(self.folder / name) for name in ("min_freq", "max_freq")}

    def lock(self, mhz: float) -> None:
        """Set both limits to the clock."""
        hertz = str(round(mhz * 1e6))
        self.restore({"min_freq": hertz, "max_freq": hertz})

    def restore(self, state: dict[str, str]) -> None:
        """Set the limits. The driver refuses a minimum above the maximum, so the order depends on the way."""
        order = ["max_freq", "min_freq"]
        if int(state["max_freq"]) < read_number(self.folder / "min_freq"):
            order.reverse()
        for name in order:
            (self.folder / name).write_text(state[name], encoding="ascii")


class NvmlClock:
    """GPU 0 of a desktop or server."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._handle = nvml.handles[0]
        self.name = f"NVML {nvml.name(self._handle)}"

    def current_mhz(self) -> float | None:
        """Return the clock of the multiprocessors now."""
        return self._nvml.clock_mhz(self._handle)

    def allowed_mhz(self) -> list[float]:
        """Return the graphics clocks at the fastest memory clock."""
        return self._nvml.allowed_mhz(self._handle)

    def state(self) -> dict[str, str]:
        """Return nothing: NVML does not say which clocks were locked; restoring unlocks them."""
        return {}

    def lock(self, mhz: float) -> None:
        """Lock the graphics clock; the driver wants administrator rights for it."""
        self._nvml.lock_clock(self._handle, mhz)

    def restore(self, state: dict[str, str]) -> None:
        """Unlock the graphics clock."""
        self._nvml.unlock_clock(self._handle)


def find_gpu_clock(root: Path = ROOT) -> GpuClock | Missing:
    """Return the GPU's clock, or why there is none."""
    for pattern in _DEVFREQ:
        for folder in sorted(root.glob(pattern)):
            if any(name in folder.name for name in _GPU_NAMES) and (folder / "cur_freq").is_file():
                return DevfreqClock(folder)
    nvml = open_nvml()
    if isinstance(nvml, Missing):
        return Missing(
            what="GPU clock",
            reason=f"no Tegra GPU under /sys/devices, and {nvml.reason}",
            remedy=nvml.remedy,
        )
    return NvmlClock(nvml)


def nearest_mhz(allowed: list[float], wanted: float) -> float:
    """Return the allowed clock nearest to a wanted one; the lower of two equally near."""
    return min(allowed, key=lambda mhz: (abs(mhz - wanted), mhz))
